-- Takes from every limit and holds in every budget, or from none.
-- KEYS: the incarnation, a key for each limit, a window for each hold.
-- ARGV: incarnation, epoch, now or '', count of limits, {kind, limit, amount} of each, {amount, ceiling} of each hold.
local me, now, n = ARGV[1], clock(ARGV[3]), tonumber(ARGV[4])
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[2] then return {'unknown'} end
local alive = string.sub(KEYS[1], 1, #KEYS[1] - #me)
local limits, seen, which, longest = {}, {}, 0, 0
for i = 1, n do
  local kind, limit, amount = ARGV[2 + 3 * i], tonumber(ARGV[3 + 3 * i]), tonumber(ARGV[4 + 3 * i])
  local key, wait = KEYS[1 + i], 0
  local name = kind .. key
  if not seen[name] then
    if kind == 'c' then
      seen[name] = {key = key, taken = places(key, alive), mine = 0}
    else
      seen[name] = bucket(key, kind, limit, now)
    end
  end
  local b = seen[name]
  if kind == 'c' then
    if b.taken + amount > limit then wait = 1000 end
  else
    local wanted = math.min(parts(amount), capacity(limit))
    if b.level < wanted or limit == 0 then wait = wait_for(limit, wanted - b.level) end
  end
  if wait > longest then which, longest = i, wait end
  limits[i] = {b, kind, limit, amount}
end
local holds, windows, exhausted = {}, {}, 0
local first = 4 + 3 * n
for i = 1, #KEYS - 1 - n do
  local key = KEYS[1 + n + i]
  if not windows[key] then
    local held = redis.call('HMGET', key, 'spent', 'held', 'r:' .. me, 's:' .. me)
    if not held[1] then return {'unknown'} end
    windows[key] = {spent = money(held[1]), held = money(held[2]), mine = money(held[3]), own = held[4] or '0'}
  end
  local w, amount, ceiling = windows[key], money(ARGV[first + 2 * i - 1]), money(ARGV[first + 2 * i])
  if exhausted == 0 and more(plus(plus(w.spent, w.held), amount), ceiling) then exhausted = i end
  holds[i] = {w, amount, key}
end
local answer
if longest > 0 then
  answer = {'limited', whole(which - 1), whole(longest)}
elseif exhausted > 0 then
  answer = {'exhausted', whole(exhausted - 1), '0'}
else
  answer = {'granted', '0', '0'}
end
local granted = answer[1] == 'granted'
for i = 1, n do
  local b, kind, limit, amount = limits[i][1], limits[i][2], limits[i][3], limits[i][4]
  local remaining, reset = 0, 0
  if kind == 'c' then
    if granted then
      b.taken = b.taken + amount
      redis.call('HINCRBY', b.key, 'p:' .. me, whole(amount))
      redis.call('PEXPIRE', b.key, 7200000)
    end
    remaining = math.max(limit - b.taken, 0)
  else
    if granted then
      b.level = math.max(-DEBT * capacity(limit), b.level - parts(amount))
      write_bucket(b)
    end
    remaining = math.floor(math.max(b.level, 0) / PARTS)
    if b.level < capacity(limit) then reset = wait_for(limit, capacity(limit) - b.level) end
  end
  answer[#answer + 1] = whole(remaining)
  answer[#answer + 1] = whole(reset)
end
for i = 1, #holds do
  local w, amount, key = holds[i][1], holds[i][2], holds[i][3]
  if granted then
    w.held, w.mine = plus(w.held, amount), plus(w.mine, amount)
    redis.call('HSET', key, 'held', text(w.held), 'r:' .. me, text(w.mine))
  end
  answer[#answer + 1] = text(w.spent)
  answer[#answer + 1] = text(w.held)
  answer[#answer + 1] = w.own
  answer[#answer + 1] = text(w.mine)
end
return answer
