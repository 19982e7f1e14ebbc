-- Reads a piece of a room's log together with the room's position; writes nothing. A room without a counter is at offset 0
-- of an epoch that is never used again.
-- KEYS  1 meta  2 log
-- ARGV  1 history size  2 limit, 0 to history size  3 offset to read after, or - for the newest
--       4 bytes of entries at most, the first entry aside
-- Reply EPOCH:OFFSET, after it, each after a space, the epochs that this one continues, the newest first, with the last
--       offset that they share with it, after a ! when something that was acknowledged is lost; then offset and envelope of every entry, ascending
local epoch = redis.call('HGET', KEYS[1], 'epoch')
local offset = epoch and redis.call('HGET', KEYS[1], epoch)
if not offset then
  local t = redis.call('TIME')
  return { string.format('%x', t[1] * 1000000 + t[2]) .. ':0' }
end
local lineage = redis.call('HGET', KEYS[1], 'lineage')
local reply = { epoch .. ':' .. offset .. (lineage and ' ' .. lineage or '') }
local last, size, limit = tonumber(offset), tonumber(ARGV[1]), tonumber(ARGV[2])

-- The log may hold more than the history size; what is beyond it must not show.
local first = last - math.min(size, redis.call('LLEN', KEYS[2])) + 1
if ARGV[3] == '-' then
  first = math.max(first, last - limit + 1)
else
  first = math.max(first, tonumber(ARGV[3]) + 1)
end
if first > last or limit == 0 then return reply end
-- Every message counts one and appends one, so the log's last entry is the one of the last offset: -1. Read a few at a time,
-- as many as the bytes that are left will hold if they are like those before: what is not sent is not to be copied.
local stop, most, bytes, n, step = math.min(first + limit - 1, last), tonumber(ARGV[4]), 0, 0, 4
while first <= stop do
  local entries = redis.call('LRANGE', KEYS[2], first - last - 1, math.min(first + step - 1, stop) - last - 1)
  if #entries == 0 then return reply end
  for i = 1, #entries do
    bytes = bytes + #entries[i]
    if bytes > most and n > 0 then return reply end
    n = n + 1
    reply[2 * n] = string.format('%d', first)
    reply[2 * n + 1] = entries[i]
    first = first + 1
  end
  step = math.max(1, math.min(128, math.floor((most - bytes) * n / bytes)))
end
return reply
