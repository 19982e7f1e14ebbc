-- Gives a message its offset, keeps it, and has every subscribed node hear it.
-- KEYS  1 meta  2 log  3 dedupe (only when the message carries an id)
-- ARGV  1 channel  2 envelope  3 history size  4 meta TTL ms  5 log TTL ms  6 dedupe TTL ms
--       7 TTLs to refresh: 0 none, 1 log, 2 meta, 3 both
-- Reply EPOCH:OFFSET, the first one for a repeated id
if KEYS[3] then
  local first = redis.call('GET', KEYS[3])
  if first then return first end
end

local offset = redis.call('HINCRBY', KEYS[1], 'o', 1)
local epoch = redis.call('HGET', KEYS[1], 'e')
local refresh = ARGV[7]
local added
if epoch and ARGV[3] ~= '0' then
  added = redis.pcall('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '0-' .. offset, 'm', ARGV[2])
end
-- No epoch: the counter was lost. A refused entry: the log is ahead of the counter, which is from before a loss.
if not epoch or type(added) == 'table' then
  local t = redis.call('TIME')
  epoch, offset, refresh = string.format('%x', t[1] * 1000000 + t[2]), 1, '3'
  redis.call('HSET', KEYS[1], 'e', epoch, 'o', 1)
  redis.call('DEL', KEYS[2])
  if ARGV[3] ~= '0' then redis.call('XADD', KEYS[2], '0-1', 'm', ARGV[2]) end
end
local position = epoch .. ':' .. offset
redis.call('PUBLISH', ARGV[1], position .. ' ' .. ARGV[2])
if KEYS[3] then redis.call('SET', KEYS[3], position, 'PX', ARGV[6]) end
if refresh ~= '0' then
  if refresh ~= '1' then redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
  if refresh ~= '2' then redis.call('PEXPIRE', KEYS[2], ARGV[5]) end
end
return position
