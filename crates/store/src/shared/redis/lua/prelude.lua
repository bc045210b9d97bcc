-- Shared by all scripts: exact money, buckets as in policy::limit, and one window's hash.
-- Amounts are decimal strings of nano-dollars up to 2^64; they are split into dollars and nano-dollars, since a number of Lua
-- is exact to 2^53 only.
local NANO = 1000000000
local PARTS, LIMIT_MAX, DEBT = 60000, 10000000000, 10

local function money(text)
  if not text then return {0, 0} end
  if #text <= 9 then return {0, tonumber(text)} end
  return {tonumber(string.sub(text, 1, -10)), tonumber(string.sub(text, -9))}
end
local function plus(a, b)
  local high, low = a[1] + b[1], a[2] + b[2]
  if low >= NANO then high, low = high + 1, low - NANO end
  return {high, low}
end
local function more(a, b)
  return a[1] > b[1] or (a[1] == b[1] and a[2] > b[2])
end
-- Nothing when that is more.
local function minus(a, b)
  if more(b, a) then return {0, 0} end
  local high, low = a[1] - b[1], a[2] - b[2]
  if low < 0 then high, low = high - 1, low + NANO end
  return {high, low}
end
local function text(a)
  if a[1] == 0 then return string.format('%.0f', a[2]) end
  return string.format('%.0f%09.0f', a[1], a[2])
end
local function whole(number)
  return string.format('%.0f', number)
end

-- Milliseconds of this server, so that instances whose clocks differ agree; a test may bring its own.
local function clock(given)
  if given ~= '' then return tonumber(given) end
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function parts(amount)
  return math.min(amount, LIMIT_MAX * (DEBT + 1)) * PARTS
end
local function capacity(limit)
  return parts(math.min(limit, LIMIT_MAX))
end
local function wait_for(limit, missing)
  limit = math.min(limit, LIMIT_MAX)
  if limit == 0 then return PARTS end
  local wait = math.floor(missing / limit)
  while wait * limit < missing do wait = wait + 1 end
  while wait > 0 and (wait - 1) * limit >= missing do wait = wait - 1 end
  return math.max(wait, 1)
end
-- A key's bucket, refilled up to now. Its fields: level and time.
local function bucket(key, kind, limit, now)
  local held = redis.call('HMGET', key, kind .. 'l', kind .. 't')
  local level, at = tonumber(held[1] or capacity(limit)), tonumber(held[2] or now)
  local elapsed = math.min(math.max(now - at, 0), PARTS * (DEBT + 1))
  level = math.min(level + elapsed * math.min(limit, LIMIT_MAX), capacity(limit))
  return {key = key, kind = kind, limit = limit, level = level, at = math.max(at, now)}
end
local function write_bucket(b)
  redis.call('HSET', b.key, b.kind .. 'l', whole(b.level), b.kind .. 't', whole(b.at))
  redis.call('PEXPIRE', b.key, 7200000)
end
-- Calls of a key under way at all instances. What an instance that is gone had does not count.
local function places(key, alive)
  local total, held = 0, redis.call('HGETALL', key)
  for i = 1, #held, 2 do
    local of = string.match(held[i], '^p:(.*)$')
    if of then
      if redis.call('EXISTS', alive .. of) == 1 then
        total = total + tonumber(held[i + 1])
      else
        redis.call('HDEL', key, held[i])
      end
    end
  end
  return total
end
