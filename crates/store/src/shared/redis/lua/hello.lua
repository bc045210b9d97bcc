-- Begins an epoch: from here on nothing that was sent under an older one has any effect.
-- KEYS: the incarnation, all instances. ARGV: incarnation, epoch, time to live in ms. Answers the number of the last batch.
local known = redis.call('HMGET', KEYS[1], 'epoch', 'seq')
if known[1] and tonumber(known[1]) >= tonumber(ARGV[2]) then return {'unknown'} end
redis.call('HSET', KEYS[1], 'epoch', ARGV[2], 'seq', known[2] or '0')
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('ZADD', KEYS[2], clock(''), ARGV[1])
return {'ok', known[2] or ''}
