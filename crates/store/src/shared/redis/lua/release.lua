-- Gives back what incarnations that are gone held in windows. KEYS: windows. ARGV: incarnations.
for i = 1, #KEYS do
  for j = 1, #ARGV do
    local w = redis.call('HMGET', KEYS[i], 'held', 'r:' .. ARGV[j])
    if w[2] then
      redis.call('HSET', KEYS[i], 'held', text(minus(money(w[1]), money(w[2]))))
      redis.call('HDEL', KEYS[i], 'r:' .. ARGV[j])
    end
  end
end
return {'ok'}
