-- Prolongs a lock that is mine or nobody's, or gives it back when the time is 0. KEYS: the lock. ARGV: token, time in ms.
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return {'lost'} end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return {'ok'}
