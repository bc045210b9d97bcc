-- Says that this instance lives, and reads who else does and windows that were asked about.
-- KEYS: the incarnation, all instances, windows. ARGV: incarnation, epoch, time to live in ms, channel of its own heartbeat.
local me = ARGV[1]
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[2] then return {'unknown'} end
local now, prefix = clock(''), string.sub(KEYS[1], 1, #KEYS[1] - #me)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('ZADD', KEYS[2], now, me)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - 40 * 86400000)
redis.call('PUBLISH', ARGV[4], '')
local alive = {}
for _, other in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  if redis.call('EXISTS', prefix .. other) == 1 then alive[#alive + 1] = other end
end
local answer = {'ok', alive}
for i = 3, #KEYS do answer[#answer + 1] = redis.call('HGETALL', KEYS[i]) end
return answer
