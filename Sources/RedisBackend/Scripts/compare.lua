-- Reads where a room is, and begins a new epoch when a message that a node has delivered is not there any more, or is
-- another one: a promoted replica may lack the last messages of its master, and gives their offsets to others.
-- KEYS  1 meta  2 log
-- ARGV  1 meta TTL ms  2 epoch  3 offset  4 time stamp of the message at that offset, 0 when it is not known
-- Reply EPOCH:OFFSET
local meta = redis.call('HMGET', KEYS[1], 'e', 'o')
local isLost = not meta[1]
if not isLost and meta[1] == ARGV[2] then
  isLost = tonumber(meta[2]) < tonumber(ARGV[3])
  if not isLost and ARGV[4] ~= '0' then
    local id = '0-' .. ARGV[3]
    local entry = redis.call('XRANGE', KEYS[2], id, id)[1]
    -- An entry that history does not reach back to proves nothing.
    isLost = entry and string.match(entry[2][2], '^%S+ (%d+) ') ~= ARGV[4]
  end
end
if isLost then
  local t = redis.call('TIME')
  meta = { string.format('%x', t[1] * 1000000 + t[2]), '0' }
  redis.call('HSET', KEYS[1], 'e', meta[1], 'o', 0)
  redis.call('DEL', KEYS[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return meta[1] .. ':' .. meta[2]
