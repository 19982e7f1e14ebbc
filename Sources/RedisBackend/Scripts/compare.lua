-- Reads where a room is, and begins a new epoch when a message that a node has delivered is not there any more, or is
-- another one: a promoted replica may lack the last messages of its master, and gives their offsets to others.
-- KEYS  1 meta  2 log
-- ARGV  1 meta TTL ms  2 epoch  3 offset  4 time stamp of the message at that offset, 0 when it is not known
--       5 key of the reign, or empty
-- Reply EPOCH:OFFSET
local epoch = redis.call('HGET', KEYS[1], 'epoch')
local offset = epoch and redis.call('HGET', KEYS[1], epoch)
local reign = ARGV[5] ~= '' and redis.call('GET', ARGV[5])
-- Whether a new epoch is to begin, and whether it continues this one, which is good as far as it goes.
local isLost, continues, mark = not offset, false, '!'
if offset and epoch == ARGV[2] then
  -- The log's last entry is the one of the last offset: index -1.
  local index = tonumber(ARGV[3]) - tonumber(offset) - 1
  isLost = index >= 0
  continues = isLost and reign and redis.call('HGET', KEYS[1], 'reign') ~= reign
  if not isLost and ARGV[4] ~= '0' then
    local entry = redis.call('LINDEX', KEYS[2], index)
    -- An entry that history does not reach back to proves nothing.
    isLost = entry and string.match(entry, '^%S+ (%d+) ') ~= ARGV[4]
  end
elseif offset and reign then
  -- The node was in another epoch. One that this one continues tells how far; more than that is lost, and is told once.
  local isTold, isKnown = false, false
  for lost, ancestor, last in string.gmatch(redis.call('HGET', KEYS[1], 'past') or '', '(!?)(%x+):(%d+)') do
    isTold = isTold or lost == '!'
    if ancestor == ARGV[2] then
      isKnown = true
      isLost = not isTold and tonumber(ARGV[3]) > tonumber(last)
      break
    end
  end
  -- One that this master has never heard of: nobody is to go back to the one that it knows.
  if not isKnown then isLost, mark = redis.call('HGET', KEYS[1], 'reign') ~= reign, '' end
  continues = isLost
end
if isLost then
  local t = redis.call('TIME')
  local former = epoch
  epoch = string.format('%x', t[1] * 1000000 + t[2])
  if continues then
    -- A number that is cut only becomes smaller.
    local past = redis.call('HGET', KEYS[1], 'past')
    redis.call('HDEL', KEYS[1], former)
    redis.call('HSET', KEYS[1], 'past', mark .. former .. ':' .. offset .. (past and ' ' .. string.sub(past, 1, 200) or ''))
  else
    offset = '0'
    redis.call('DEL', KEYS[1], KEYS[2])
  end
  redis.call('HSET', KEYS[1], 'epoch', epoch, epoch, offset, 'graced', 1)
  if reign then redis.call('HSET', KEYS[1], 'reign', reign) end
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return epoch .. ':' .. offset
