-- Brings windows here and at an instance together: of each instance's own sum the greater holds, of two beginnings the older.
-- So a server that lost its data has it again as soon as the instances have told what they know.
-- KEYS: the incarnation, all windows, windows. ARGV: incarnation, epoch, `begin` or `restore`, then for each window: its name, when
-- it may be forgotten, what it began with and when ('' when that is not known), what I hold ('' to leave that), a count, and so
-- many {incarnation, sum}.
local me, restore, at = ARGV[1], ARGV[3] == 'restore', 3
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[2] then return {'unknown'} end
local answer = {'ok'}
for i = 3, #KEYS do
  local key = KEYS[i]
  local name, expires, base, seed, mine = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5]
  local fields, known, old = tonumber(ARGV[at + 6]), {}, redis.call('HGETALL', key)
  at = at + 6
  for j = 1, #old, 2 do known[old[j]] = old[j + 1] end
  if seed ~= '' and (not known.seed or (restore and tonumber(seed) < tonumber(known.seed))) then
    known.base, known.seed = base, seed
  end
  for j = 1, fields do
    local field, sum = 's:' .. ARGV[at + 1], ARGV[at + 2]
    at = at + 2
    if not known[field] or more(money(sum), money(known[field])) then known[field] = sum end
  end
  if mine ~= '' then known['r:' .. me] = mine end
  local spent, held = money(known.base), {0, 0}
  for field, value in pairs(known) do
    local kind = string.sub(field, 1, 2)
    if kind == 's:' then spent = plus(spent, money(value)) end
    if kind == 'r:' then held = plus(held, money(value)) end
  end
  known.spent, known.held = text(spent), text(held)
  local all = {}
  for field, value in pairs(known) do
    all[#all + 1] = field
    all[#all + 1] = value
  end
  redis.call('HSET', key, unpack(all))
  redis.call('PEXPIREAT', key, expires)
  redis.call('ZADD', KEYS[2], expires, name)
  answer[#answer + 1] = all
end
return answer
