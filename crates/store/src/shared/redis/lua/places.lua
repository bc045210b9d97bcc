-- Says how many calls of each key are under way here. KEYS: the incarnation, keys. ARGV: incarnation, epoch, counts.
local me = ARGV[1]
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[2] then return {'unknown'} end
for i = 2, #KEYS do
  if ARGV[1 + i] == '0' then
    redis.call('HDEL', KEYS[i], 'p:' .. me)
  else
    redis.call('HSET', KEYS[i], 'p:' .. me, ARGV[1 + i])
    redis.call('PEXPIRE', KEYS[i], 7200000)
  end
end
return {'ok'}
