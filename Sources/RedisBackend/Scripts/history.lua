-- Reads a piece of a room's log together with the room's position.
-- KEYS  1 meta  2 log
-- ARGV  1 meta TTL ms  2 history size  3 limit, 1 to history size  4 offset to read after, or - for the newest
-- Reply EPOCH:OFFSET, then offset and envelope of every entry, ascending
local meta = redis.call('HMGET', KEYS[1], 'e', 'o')
if not meta[1] then
  local t = redis.call('TIME')
  local epoch = string.format('%x', t[1] * 1000000 + t[2])
  redis.call('HSET', KEYS[1], 'e', epoch, 'o', 0)
  redis.call('DEL', KEYS[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
  return { epoch .. ':0' }
end
local reply = { meta[1] .. ':' .. meta[2] }
local last, size, limit = tonumber(meta[2]), tonumber(ARGV[2]), tonumber(ARGV[3])
if size == 0 or limit == 0 then return reply end

-- The log is trimmed by whole nodes and may hold more than the history size; what is beyond it must not show.
local first = last - size + 1
if ARGV[4] == '-' then
  first = last - math.min(limit, size) + 1
else
  first = math.max(first, tonumber(ARGV[4]) + 1)
end
first = math.max(first, 1)
if first > last then return reply end
local entries = redis.call('XRANGE', KEYS[2], string.format('0-%.0f', first), '+', 'COUNT', limit)
for i = 1, #entries do
  reply[2 * i] = string.sub(entries[i][1], 3)
  reply[2 * i + 1] = entries[i][2][2]
end
return reply
