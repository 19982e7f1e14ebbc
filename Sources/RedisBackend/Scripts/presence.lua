-- Puts connections into rooms' members, takes them out, and keeps the states of users: the operations of a tick,
-- in their order. Each is idempotent. A room is read in a few commands, changed in Lua, and written in as few: to call a
-- command costs more than what it does for one member.
-- KEYS  for each room: meta, log, members, users, order, extras, graces; and the queue of events, if they are recorded
-- ARGV  1 master tag  2 life of a room's counter, ms  3 life of the counter of a room that everybody has left and nobody has
--       published in, ms  4 key of the leader epoch, or empty  5 how long the keys of a room outlive its last grace, ms
--       6 which events are recorded, as room_events.lua reads it, or empty
--       then for each room: channel; epoch as the node knows it, or empty; whether to refresh the counter's life: 0 or 1;
--       users to read afterwards, about so many, or 0; number of operations; and for each of them four:
--         e connection user MEMBER       enters, without info; MEMBER is JSON; eINFO the same with info, as JSON
--         l connection user GRACE        leaves; user is empty when it is not known; GRACE in ms
--         s connection user STATE        sets the state: JSON, or empty to remove it
--         a connection user STATE        asserts a state that may have been forgotten
-- Reply for each room an array: EPOCH:OFFSET when somebody entered, else empty; and when users were to be read, the reply of
--       users.lua for the first of them; at last h when events were recorded. Or an error when a key of the room has another type: nothing of the room was changed then
local keys, args, call, try = KEYS, ARGV, redis.call, redis.pcall
local byte, find, format, sub = string.byte, string.find, string.format, string.sub
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local stamp = format(' %.0f ', now)

local events = recorder(args[6], time)

-- Reads the position of a room: epoch, offset, whether both begin here, and whether users may be in grace.
local function locate(k, known)
  local counter = try('HMGET', keys[k], 'epoch', known, 'graced')
  if counter.err then return counter end
  local epoch, offset = counter[1], counter[2]
  if epoch and epoch ~= known then offset = call('HGET', keys[k], epoch) end
  if offset then return epoch, offset, false, counter[3] end
  return format('%x', time[1] * 1000000 + time[2]), '0', true, true
end

-- Gives a room that begins its counter, and the counter its life.
local function keep(k, a, epoch, isNew, isUnused)
  local meta = keys[k]
  if isNew then
    call('UNLINK', meta, keys[k + 1])
    call('HSET', meta, 'epoch', epoch, epoch, '0')
    local leader = args[4] ~= '' and call('GET', args[4])
    if leader then call('HSET', meta, 'leader_epoch', leader) end
  end
  if isUnused or args[a + 2] == '1' then call('PEXPIRE', meta, args[2]) end
end

-- Reads the first of a room's users, in no order, and their states.
local function read(k, count)
  local scan = call('HSCAN', keys[k + 3], '0', 'COUNT', count)
  local users, fields, talkers, states = {}, {}, {}, {}
  for i = 1, #scan[2], 2 do users[#users + 1] = scan[2][i] end
  if #users > 0 and call('HLEN', keys[k + 5]) > 0 then
    for i = 1, #users do fields[i] = 's' .. users[i] end
    for i, state in ipairs(call('HMGET', keys[k + 5], unpack(fields))) do
      if state then talkers[#talkers + 1], states[#states + 1] = users[i], state end
    end
  end
  return { scan[1], users, talkers, states }
end

-- One connection enters. Reply nil for a room that must be looked at more closely.
local function enter(k, a)
  local members, users = keys[k + 2], keys[k + 3]
  local epoch, offset, isNew, isGraced = locate(k, args[a + 1])
  if not offset then return epoch end
  if isGraced and (not isNew or try('HLEN', users) ~= 0) then return nil end
  local name, user = args[a + 6], args[a + 7]
  local connections = try('HINCRBY', users, user, '1')
  if type(connections) == 'table' then return connections end
  local added = try('HSETNX', members, name, args[a + 8])
  local placed = added == 1 and try('ZADD', keys[k + 4], '0', user .. '\0' .. name)
  if type(placed) == 'table' or added ~= 1 then
    if added == 1 then call('HDEL', members, name) end
    connections = call('HINCRBY', users, user, '-1')
    if connections == 0 then call('HDEL', users, user) end
    if added ~= 0 then return added == 1 and placed or added end
  elseif connections == 1 then
    call('PUBLISH', args[a], '-' .. args[1] .. ' j' .. stamp .. name .. ' ' .. quoted(user) .. '\n' .. sub(args[a + 5], 2))
    if events then
      if call('HLEN', users) == 1 then note(events, args[a], 'c') end
      note(events, args[a], 'j', user, sub(args[a + 5], 2))
    end
  end
  local reads = args[a + 3] ~= '0'
  local isFirst = connections == 1 and (reads or offset == '0') and call('HLEN', users) == 1
  keep(k, a, epoch, isNew, isNew or (isFirst and offset == '0'))
  local reply = { epoch .. ':' .. offset, reads and (isFirst and { '0', { user }, {}, {} } or read(k, args[a + 3])) or nil }
  if events and record(events, keys[k + 7]) then reply[#reply + 1] = 'h' end
  return reply
end

local function update(k, a, last)
  local members, users, order, extras, graces = keys[k + 2], keys[k + 3], keys[k + 4], keys[k + 5], keys[k + 6]

  -- What is there, by connection and by user. Asked before anything is changed: a key of another type ends the room here.
  local names, whom, value, count = {}, {}, {}, {}
  local hasEntered, hasMore = false, false
  for i = a + 5, last, 4 do
    local kind, name, user = args[i], args[i + 1], args[i + 2]
    local isEnter = kind == 'e' or byte(kind) == 101
    if isEnter then hasEntered = true else hasMore = true end
    if value[name] == nil and (isEnter or kind == 'l') then
      value[name] = false
      names[#names + 1] = name
    end
    if user ~= '' and count[user] == nil then
      count[user] = false
      whom[#whom + 1] = user
    end
  end
  local total = try('HLEN', users)
  if type(total) == 'table' then return total end
  local isEmpty, isGraced, isNew, epoch, offset = total == 0, false, false, nil, nil
  if hasEntered then
    epoch, offset, isNew, isGraced = locate(k, args[a + 1])
    if not offset then return epoch end
  end
  local said, leaving = 0, 0
  if not isEmpty then
    if hasMore or isGraced then
      said = try('HLEN', extras)
      if type(said) == 'table' then return said end
      leaving = said > 0 and try('ZCARD', graces) or 0
      if type(leaving) == 'table' then return leaving end
    end
    if #whom > 0 then
      local counted = call('HMGET', users, unpack(whom))
      for i = 1, #whom do count[whom[i]] = counted[i] and tonumber(counted[i]) end
    end
  end
  local had = #names > 0 and try('HMGET', members, unpack(names)) or names
  if had.err then return had end
  for i = 1, #names do value[names[i]] = had[i] end

  -- The result.
  local reply, notices, owner, changed = { offset and epoch .. ':' .. offset or '' }, {}, {}, {}
  local graced, states
  for i = a + 5, last, 4 do
    local kind, name, user, datum = args[i], args[i + 1], args[i + 2], args[i + 3]
    local n = count[user]
    if kind == 'e' or byte(kind) == 101 then
      if not value[name] then
        value[name], owner[name] = datum, user
        if n == 0 then
          graced = graced or {}
          graced[user] = false
        elseif not n then
          if events then
            if total == 0 then note(events, args[a], 'c') end
            note(events, args[a], 'j', user, sub(kind, 2))
          end
          n, total = 0, total + 1
          notices[#notices + 1] = 'j' .. stamp .. name .. ' ' .. quoted(user) .. '\n' .. sub(kind, 2)
        end
        count[user], changed[user] = n + 1, true
      end
    elseif kind == 'l' then
      local member = value[name]
      if member then
        value[name], owner[name] = false, user
        if user == '' then
          -- Whose it was cannot be read: its place in the order goes with the room's last user.
        elseif n and n > 1 then
          count[user], changed[user] = n - 1, true
        elseif datum ~= '0' then
          if not n then total = total + 1 end
          graced = graced or {}
          count[user], changed[user], graced[user] = 0, true, { member, datum }
          notices[#notices + 1] = 'g' .. stamp .. name .. ' ' .. quoted(user) .. '\n' .. datum
        else
          if n then total = total - 1 end
          count[user], changed[user] = false, true
          if states or said > 0 then
            states = states or {}
            states[user] = false
          end
          notices[#notices + 1] = 'l' .. stamp .. name .. ' ' .. quoted(user) .. '\n'
          if events then
            note(events, args[a], 'l', user)
            if n and total == 0 then note(events, args[a], 'e') end
          end
        end
      end
    elseif n then
      local former = kind == 'a' and states and states[user]
      if kind == 'a' and former == nil and said > 0 then former = call('HGET', extras, 's' .. user) end
      if kind == 's' or (not former and datum ~= '') then
        states = states or {}
        states[user] = datum ~= '' and datum
        notices[#notices + 1] = 's' .. stamp .. name .. ' ' .. quoted(user) .. '\n' .. (datum == '' and 'null' or datum)
      end
    end
  end

  -- What is to be written. The order goes first: its type is the one that was not looked at.
  local added, placed, gone, displaced = {}, {}, {}, {}
  for i = 1, #names do
    local name, was = names[i], had[i]
    local is = value[name]
    if is ~= was then
      if is then added[#added + 1], added[#added + 2] = name, is else gone[#gone + 1] = name end
      if not was then
        placed[#placed + 1], placed[#placed + 2] = '0', owner[name] .. '\0' .. name
      elseif not is and owner[name] ~= '' then
        displaced[#displaced + 1] = owner[name] .. '\0' .. name
      end
    end
  end
  if graced then
    for user, grace in pairs(graced) do
      if count[user] == 0 and grace then
        placed[#placed + 1], placed[#placed + 2] = '0', user .. '\0'
      else
        graced[user] = false
        displaced[#displaced + 1] = user .. '\0'
      end
    end
  end
  local done = #placed > 0 and try('ZADD', order, unpack(placed))
  if type(done) == 'table' then return done end
  done = #displaced > 0 and try('ZREM', order, unpack(displaced))
  if type(done) == 'table' then return done end
  if #added > 0 then call('HSET', members, unpack(added)) end
  if #gone > 0 then call('HDEL', members, unpack(gone)) end
  local counts, left = {}, {}
  for i = 1, #whom do
    local user = whom[i]
    local n = count[user]
    if not changed[user] then
      -- As it was.
    elseif n then
      counts[#counts + 1], counts[#counts + 2] = user, n == 1 and '1' or format('%d', n)
    else
      left[#left + 1] = user
    end
  end
  if #counts > 0 then call('HSET', users, unpack(counts)) end
  if #left > 0 then call('HDEL', users, unpack(left)) end
  local kept, dropped, deadlines, returned = {}, {}, {}, {}
  for user, grace in pairs(graced or {}) do
    if grace then
      kept[#kept + 1], kept[#kept + 2] = 'g' .. user, grace[1]
      deadlines[#deadlines + 1], deadlines[#deadlines + 2] = format('%.0f', now + grace[2]), user
    else
      dropped[#dropped + 1], returned[#returned + 1] = 'g' .. user, user
    end
  end
  for user, state in pairs(states or {}) do
    if state then kept[#kept + 1], kept[#kept + 2] = 's' .. user, state else dropped[#dropped + 1] = 's' .. user end
  end
  if #kept > 0 then call('HSET', extras, unpack(kept)) end
  if #dropped > 0 then call('HDEL', extras, unpack(dropped)) end
  if #returned > 0 then call('ZREM', graces, unpack(returned)) end
  if #deadlines > 0 then
    call('ZADD', graces, unpack(deadlines))
  end
  leaving = leaving - #returned + #deadlines / 2
  if #notices > 0 then call('PUBLISH', args[a], '-' .. args[1] .. ' ' .. table.concat(notices, '\30')) end

  -- The lives of the keys. The counter bears a mark while users may be in grace, so that most who enter need not look; a script
  -- that begins a counter does not know, and sets it.
  local meta = keys[k]
  if hasEntered then keep(k, a, epoch, isNew, isNew or (isEmpty and offset == '0')) end
  if leaving > 0 then
    if (isNew or #deadlines > 0) and call('EXISTS', meta) == 1 then call('HSET', meta, 'graced', '1') end
  elseif isGraced and not isNew then
    call('HDEL', meta, 'graced')
  end
  if total <= 0 then
    call('UNLINK', order, extras, graces)
    epoch = call('HGET', meta, 'epoch')
    if epoch and call('HGET', meta, epoch) == '0' then call('PEXPIRE', meta, args[3]) end
  elseif #added > 0 then
    if leaving + #returned > 0 then for i = k + 3, k + 6 do call('PERSIST', keys[i]) end end
  elseif leaving > 0 and call('HLEN', members) == 0 then
    -- Only graces are left: their keys must not stay when no node is there to end them.
    local longest = call('ZRANGE', graces, -1, -1, 'WITHSCORES')[2] or now
    local life = format('%.0f', math.max(0, longest - now) + args[5])
    for i = k + 3, k + 6 do call('PEXPIRE', keys[i], life) end
  end
  if args[a + 3] ~= '0' then reply[2] = read(k, args[a + 3]) end
  if events and record(events, keys[k + 7]) then reply[#reply + 1] = 'h' end
  return reply
end

local replies, k, a = {}, 1, 7
local stride = events and 8 or 7
while a <= #args do
  local last = a + 4 + 4 * args[a + 4]
  replies[#replies + 1] = last == a + 8 and byte(args[a + 5]) == 101 and enter(k, a) or update(k, a, last)
  k, a = k + stride, last + 1
end
return replies
