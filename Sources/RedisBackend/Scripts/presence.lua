-- The other operations of presence.lua's runs, in a room that presence_enter.lua has left alone; events and reads of all rooms.
-- Begins behind room_events.lua; KEYS, ARGV and reply are described in presence_enter.lua.
local format = string.format
time = time or call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local stamp = format(' %.0f ', now)
local metaLife, unusedLife, graceSlack, leaderKey = match(args[2], '^(%d+) (%d+) (%d+) ?(.*)$')
local recording = recorder(args[3], time)

-- Reads the position of a room: epoch, offset, whether both begin here, and whether users may be in grace.
local function locate(meta, known)
  local counter = try('HMGET', meta, 'epoch', known, 'graced')
  if counter.err then return counter end
  local epoch, offset = counter[1], counter[2]
  if epoch and epoch ~= known then offset = call('HGET', meta, epoch) end
  if offset then return epoch, offset, false, counter[3] end
  return format('%x', time[1] * 1000000 + time[2]), '0', true, true
end

-- Gives a room that begins its counter, and the counter its life.
local function keep(k, epoch, isNew, isDue)
  local meta = keys[k]
  if isNew then
    call('UNLINK', meta, keys[k + 1])
    call('HSET', meta, 'epoch', epoch, epoch, '0')
    local leader = leaderKey ~= '' and call('GET', leaderKey)
    if leader then call('HSET', meta, 'leader_epoch', leader) end
  end
  if isNew or isDue then call('PEXPIRE', meta, metaLife) end
end

-- Reads the first of a room's users, in no order, and their states: the reply of users.lua.
local function read(k, count)
  local scan = call('HSCAN', keys[k + 3], '0', 'COUNT', count)
  local users, fields = scan[2], {}
  for i = 1, #users, 2 do fields[#fields + 1], users[i + 1] = 's' .. users[i], '' end
  if #users > 0 and call('HLEN', keys[k + 5]) > 0 then
    for i, state in ipairs(call('HMGET', keys[k + 5], unpack(fields))) do users[i + i] = state or '' end
  end
  return scan
end

-- Does any operations of a room. Reply its position, or empty; or an error.
local function update(k, a, last, isDue)
  local members, users, order, extras, graces = keys[k + 2], keys[k + 3], keys[k + 4], keys[k + 5], keys[k + 6]

  -- What is there, by connection and by user. Asked before anything is changed: a key of another type ends the room here.
  local names, whom, value, count = {}, {}, {}, {}
  local hasEntered, hasMore = false, false
  for i = a + 3, last, 4 do
    local kind, name, user = args[i], args[i + 1], args[i + 2]
    local isEnter = byte(kind) == 106
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
    epoch, offset, isNew, isGraced = locate(keys[k], args[a + 1])
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
  local position, notices, owner, changed = offset and epoch .. ':' .. offset or '', {}, {}, {}
  local graced, states
  for i = a + 3, last, 4 do
    local kind, name, user, datum = args[i], args[i + 1], args[i + 2], args[i + 3]
    local n = count[user]
    if byte(kind) == 106 then
      if not value[name] then
        value[name], owner[name] = datum, user
        if n == 0 then
          graced = graced or {}
          graced[user] = false
        elseif not n then
          if recording then
            if total == 0 then note(recording, args[a], 'c') end
            note(recording, args[a], 'j', user, match(kind, '\n(.*)'))
          end
          n, total = 0, total + 1
          notices[#notices + 1] = kind
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
          if recording then
            note(recording, args[a], 'l', user)
            if n and total == 0 then note(recording, args[a], 'e') end
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
  if hasEntered then keep(k, epoch, isNew, isDue or (isEmpty and offset == '0')) end
  if leaving > 0 then
    if (isNew or #deadlines > 0) and call('EXISTS', meta) == 1 then call('HSET', meta, 'graced', '1') end
  elseif isGraced and not isNew then
    call('HDEL', meta, 'graced')
  end
  if total <= 0 then
    call('UNLINK', order, extras, graces)
    epoch = call('HGET', meta, 'epoch')
    if epoch and call('HGET', meta, epoch) == '0' then call('PEXPIRE', meta, unusedLife) end
  elseif #added > 0 then
    if leaving + #returned > 0 then for i = k + 3, k + 6 do call('PERSIST', keys[i]) end end
  elseif leaving > 0 and call('HLEN', members) == 0 then
    -- Only graces are left: their keys must not stay when no node is there to end them.
    local longest = call('ZRANGE', graces, -1, -1, 'WITHSCORES')[2] or now
    local life = format('%.0f', math.max(0, longest - now) + graceSlack)
    for i = k + 3, k + 6 do call('PEXPIRE', keys[i], life) end
  end
  return position
end

room, k, a = 0, 1, 4
while a <= #args do
  local number, due, reads = '1', '', ''
  if args[a + 2] ~= '' then number, due, reads = match(args[a + 2], '^(%d+)(m?)r?(%d*)$') end
  local last = a + 2 + 4 * number
  room = room + 1
  local reply, total, page = replies[room], totals[room], nil
  if not reply then
    reply = update(k, a, last, due ~= '')
  elseif recording and type(reply) == 'string' then
    if total == 0 then note(recording, args[a], 'c') end
    for i = a + 3, last, 4 do note(recording, args[a], 'j', args[i + 2], match(args[i], '\n(.*)')) end
  end
  local isRecorded = recording and record(recording, keys[k + 7])
  if type(reply) == 'string' and (isRecorded or reads ~= '') then
    reply = { reply, isRecorded and 'h' or '', reads ~= '' and read(k, reads) or nil }
  end
  replies[room] = reply
  k, a = k + (recording and 8 or 7), last + 1
end
return room == 1 and replies[1] or replies
