-- Takes in what was settled, once: a batch carries the next number, and a repeated one changes nothing.
-- KEYS: the incarnation, windows, keys of buckets, keys of places.
-- ARGV: incarnation, epoch, number, now or '', counts of windows, buckets and places, then {all settled by me, '+' or '-', change
-- of what I hold}, {kind, limit, taken, actual}, {change of places}.
local me, now = ARGV[1], clock(ARGV[4])
local nw, nb, np = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local known = redis.call('HMGET', KEYS[1], 'epoch', 'seq')
if known[1] ~= ARGV[2] or tonumber(known[2]) ~= tonumber(ARGV[3]) - 1 then return {'unknown'} end
for i = 1, nw do
  if redis.call('EXISTS', KEYS[1 + i]) == 0 then return {'unknown'} end
end
local answer, at = {'ok'}, 7
for i = 1, nw do
  local key, settled, sign, change = KEYS[1 + i], money(ARGV[at + 1]), ARGV[at + 2], money(ARGV[at + 3])
  at = at + 3
  local w = redis.call('HMGET', key, 'spent', 'held', 'r:' .. me, 's:' .. me)
  local spent, held, mine, own = money(w[1]), money(w[2]), money(w[3]), money(w[4])
  if more(settled, own) then
    spent, own = plus(spent, minus(settled, own)), settled
  end
  held = minus(held, mine)
  if sign == '+' then mine = plus(mine, change) else mine = minus(mine, change) end
  held = plus(held, mine)
  redis.call('HSET', key, 'spent', text(spent), 'held', text(held), 'r:' .. me, text(mine), 's:' .. me, text(own))
  for _, value in ipairs({spent, held, own, mine}) do answer[#answer + 1] = text(value) end
end
for i = 1, nb do
  local kind, limit, taken, actual = ARGV[at + 1], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  at = at + 4
  local b = bucket(KEYS[1 + nw + i], kind, limit, now)
  local level = b.level + parts(taken) - parts(actual)
  b.level = math.min(math.max(level, -DEBT * capacity(limit)), capacity(limit))
  write_bucket(b)
end
for i = 1, np do
  local key = KEYS[1 + nw + nb + i]
  if redis.call('HINCRBY', key, 'p:' .. me, ARGV[at + i]) <= 0 then
    redis.call('HDEL', key, 'p:' .. me)
  end
  redis.call('PEXPIRE', key, 7200000)
end
redis.call('HSET', KEYS[1], 'seq', ARGV[3])
return answer
