-- Puts connections into rooms' members, takes them out, and keeps the states of users: the operations of a tick,
-- in their order. Each is idempotent. A room is read in a few commands, changed in Lua, and written in as few: to call a
-- command costs more than what it does for one member, and as much as three arguments or two functions that are made.
--
-- What most runs do, users enter who are not in the room, is done here; presence.lua does the rest, with functions that
-- are made only then.
-- KEYS  for each room: meta, log, members, users, order, extras, graces; and the queue of events, if they are recorded
-- ARGV  1 master tag
--       2 three lives, ms, with spaces between them: of a room's counter; of the counter of a room that everybody has left and nobody
--         has published in; how long the keys of a room outlive its last grace; and,
--         after a space, the key of the leader epoch, if there is one
--       3 which events are recorded, as room_events.lua reads it, or empty
--       then for each room: channel; epoch as the node knows it, or empty; what is to be done, or empty for one operation: the
--       number of operations, `m` to refresh the life of the counter, `r` and a number to read about so many users afterwards;
--       and for each operation four:
--         NOTICE connection user MEMBER  enters: the envelope for the room's members, of kind j; MEMBER is JSON
--         l connection user GRACE        leaves; user is empty when it is not known; GRACE in ms
--         s connection user STATE        sets the state: JSON, or empty to remove it
--         a connection user STATE        asserts a state that may have been forgotten
-- Reply for one room, or an array of those of several: EPOCH:OFFSET when somebody entered, else empty. Or an array that begins
--       with it: second h when events were recorded, or empty; third, when users were to be read, the reply of users.lua for the
--       first of them. Or an error when a key of the room has another type: nothing of the room was changed then
local keys, args, call, try = KEYS, ARGV, redis.call, redis.pcall
local byte, match = string.byte, string.match
local events, time = args[3] ~= '', nil

-- Users who are not in a room enter, each with one connection. Reply the position and, where they were counted, the number of
-- users before; an error; or nil for a room that presence.lua must do: nothing of it is changed then.
local function enter(k, a, count, isDue, isRead)
  local meta, members, users, order = keys[k], keys[k + 2], keys[k + 3], keys[k + 4]
  local first, last, known = a + 3, a + 2 + 4 * count, args[a + 1]
  local notice, whom, counts, entries, values = args[first], nil, nil, nil, nil
  if count > 1 then
    local notices, n = {}, 0
    whom, counts, entries, values = {}, {}, {}, {}
    for i = first, last, 4 do
      if byte(args[i]) ~= 106 then return nil end
      local name, user, m = args[i + 1], args[i + 2], n + n
      n = n + 1
      notices[n], whom[n] = args[i], user
      counts[m + 1], counts[m + 2] = user, '1'
      entries[m + 1], entries[m + 2] = '0', user .. '\0' .. name
      values[m + 1], values[m + 2] = name, args[i + 3]
    end
    notice = table.concat(notices, '\30')
  end

  -- The position. The field of the offset is named like the epoch, and there is none of another epoch.
  local counter = try('HMGET', meta, 'graced', known == '' and 'epoch' or known)
  if counter.err then return counter end
  local epoch, offset = known, counter[2]
  if known == '' or not offset then
    epoch = offset or call('HGET', meta, 'epoch')
    offset = epoch and call('HGET', meta, epoch)
  end
  local total = (whom or isRead or events or not offset or offset == '0') and try('HLEN', users)
  if type(total) == 'table' then return total end
  local isNew = not offset
  if isNew and total > 0 or counter[1] and not isNew then return nil end

  local entered, placed, stored
  if whom then
    if total > 0 then
      local there = call('HMGET', users, unpack(whom))
      for i = 1, count do
        if there[i] then return nil end
      end
    end
    -- Redis searches a small hash from its beginning, and turns it into a table at a value that is longer than 64 bytes: a hash that
    -- grows fast becomes one early.
    local isGrowing = total < 512 and total + count > 64
    if isGrowing then counts[2] = string.rep('0', 64) .. '1' end
    entered = try('HSET', users, unpack(counts))
    if type(entered) == 'table' then return entered end
    if isGrowing then call('HSET', users, whom[1], '1') end
    placed = entered == count and try('ZADD', order, unpack(entries))
    stored = placed == count and try('HSET', members, unpack(values))
  else
    local name, user = args[first + 1], args[first + 2]
    entered = try('HSETNX', users, user, '1')
    if entered ~= 1 then return entered ~= 0 and entered or nil end
    placed = try('ZADD', order, '0', user .. '\0' .. name)
    stored = type(placed) == 'number' and try('HSET', members, name, args[first + 3])
  end
  if type(stored) ~= 'number' then
    -- A key of another type, or a user or a connection twice.
    for i = first, last, 4 do
      call('HDEL', users, args[i + 2])
      if type(placed) == 'number' then call('ZREM', order, args[i + 2] .. '\0' .. args[i + 1]) end
    end
    return stored or type(placed) == 'table' and placed or nil
  end

  call('PUBLISH', args[a], '-' .. args[1] .. ' ' .. notice)
  if isNew then
    time = time or call('TIME')
    epoch, offset = string.format('%x', time[1] * 1000000 + time[2]), '0'
    call('UNLINK', meta, keys[k + 1])
    call('HSET', meta, 'epoch', epoch, epoch, offset)
    local leader = match(args[2], ' %d+ %d+ (.+)')
    leader = leader and call('GET', leader)
    if leader then call('HSET', meta, 'leader_epoch', leader) end
  end
  if isDue or total == 0 and offset == '0' then call('PEXPIRE', meta, match(args[2], '%d+')) end
  return epoch .. ':' .. offset, total
end

local replies, room, k, a, isDone = {}, 0, 1, 4, not events
-- The users that were in a room before, for what presence.lua adds to the replies of rooms.
local totals = {}
while a <= #args do
  local count, isDue, reads = 1, false, ''
  if args[a + 2] ~= '' then
    local number, due, users = match(args[a + 2], '^(%d+)(m?)r?(%d*)$')
    count, isDue, reads = tonumber(number), due ~= '', users
  end
  local reply, total
  if count > 0 and byte(args[a + 3]) == 106 then reply, total = enter(k, a, count, isDue, reads ~= '') end
  if total == 0 and reads ~= '' and not events then
    local users = {}
    for i = 1, count do users[i + i - 1], users[i + i] = args[a + 1 + 4 * i], '' end
    reply = { reply, '', { '0', users } }
  elseif not reply or reads ~= '' then
    isDone = false
  end
  room = room + 1
  replies[room], totals[room] = reply or false, total or nil
  k, a = k + (events and 8 or 7), a + 3 + 4 * count
end
if isDone then return room == 1 and replies[1] or replies end
