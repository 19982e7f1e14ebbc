-- Reads the position of a room, and begins a new epoch when a message that a node has delivered is missing or is a different
-- one: a promoted replica may lack the last messages of its master, and gives their offsets to other messages.
-- KEYS  1 meta  2 log
-- ARGV  1 meta TTL ms  2 epoch  3 offset  4 time stamp of the message at that offset, 0 when it is not known
--       5 key of the leader epoch, or empty
-- Reply EPOCH:OFFSET
local epoch = redis.call('HGET', KEYS[1], 'epoch')
local offset = epoch and redis.call('HGET', KEYS[1], epoch)
local leader = ARGV[5] ~= '' and redis.call('GET', ARGV[5])
-- Whether a new epoch begins, and whether it continues this one, which is right up to its last offset.
local isLost, continues, mark = not offset, false, '!'
if offset and epoch == ARGV[2] then
  -- The log's last entry is the one of the last offset: index -1.
  local index = tonumber(ARGV[3]) - tonumber(offset) - 1
  isLost = index >= 0
  continues = isLost and leader and redis.call('HGET', KEYS[1], 'leader_epoch') ~= leader
  if not isLost and ARGV[4] ~= '0' then
    local entry = redis.call('LINDEX', KEYS[2], index)
    -- An entry that history no longer holds proves nothing.
    isLost = entry and string.match(entry, '^%S+ (%d+) ') ~= ARGV[4]
  end
elseif offset and leader then
  -- The node knows another epoch. When this one continues it, what the node has beyond its end is lost; that is recorded once.
  local isRecorded, isKnown = false, false
  for lost, ancestor, last in string.gmatch(redis.call('HGET', KEYS[1], 'lineage') or '', '(!?)(%x+):(%d+)') do
    isRecorded = isRecorded or lost == '!'
    if ancestor == ARGV[2] then
      isKnown = true
      isLost = not isRecorded and tonumber(ARGV[3]) > tonumber(last)
      break
    end
  end
  -- An epoch that this master does not know: no node may return to the epoch that it has.
  if not isKnown then isLost, mark = redis.call('HGET', KEYS[1], 'leader_epoch') ~= leader, '' end
  continues = isLost
end
if isLost then
  local t = redis.call('TIME')
  local former = epoch
  epoch = string.format('%x', t[1] * 1000000 + t[2])
  if continues then
    -- A number that is cut only becomes smaller.
    local lineage = redis.call('HGET', KEYS[1], 'lineage')
    redis.call('HDEL', KEYS[1], former)
    redis.call('HSET', KEYS[1], 'lineage', mark .. former .. ':' .. offset .. (lineage and ' ' .. string.sub(lineage, 1, 200) or ''))
  else
    offset = '0'
    redis.call('DEL', KEYS[1], KEYS[2])
  end
  redis.call('HSET', KEYS[1], 'epoch', epoch, epoch, offset, 'graced', 1)
  if leader then redis.call('HSET', KEYS[1], 'leader_epoch', leader) end
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return epoch .. ':' .. offset
