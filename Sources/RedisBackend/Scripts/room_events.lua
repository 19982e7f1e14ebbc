-- Records what happens in rooms, for webhooks: the beginning of the scripts that see it.
--
-- Events are in a sorted set, by the time at which they happened in µs. Beyond as many as are allowed the oldest are dropped;
-- the member # counts them: its score is their number below 0.
local function quoted(user)
  if string.find(user, '[%z\1-\31"\\]') then
    user = string.gsub(user, '[%z\1-\31"\\]', function(c)
      return c < ' ' and string.format('\\u%04x', string.byte(c)) or '\\' .. c
    end)
  end
  return '"' .. user .. '"'
end

local event_names = { c = 'room_created', e = 'room_emptied', j = 'user_joined', l = 'user_left' }

-- Begins to record at a time of Redis. The settings are letters of the kinds that are wanted, how many events are kept, the life
-- of the set in ms, and the length of what stands before a room's name in its channel. Empty settings: nil, nothing is recorded.
local function recorder(settings, time)
  if settings == '' then return nil end
  local kinds, most, life, skip = string.match(settings, '^(%a+) (%d+) (%d+) (%d+)$')
  return {
    kinds = kinds, most = tonumber(most), life = life, skip = tonumber(skip), micros = time[1] * 1000000 + time[2],
    count = 0, entries = {}
  }
end

-- Notes an event of the room that has a channel. The user may be nil, the info nil or empty.
local function note(recorder, channel, kind, user, info)
  if not string.find(recorder.kinds, kind, 1, true) then return end
  recorder.count = recorder.count + 1
  local json = string.format('{"id":"%x-%04x-', recorder.micros, recorder.count)
    .. string.sub(redis.sha1hex(channel), 1, 10) .. '","event":"' .. event_names[kind] .. '","ts":'
    .. string.format('%.0f', math.floor(recorder.micros / 1000)) .. ',"room":'
    .. quoted(string.sub(channel, recorder.skip + 1, -5))
  if user then json = json .. ',"user":' .. quoted(user) end
  if info and info ~= '' then json = json .. ',"info":' .. info end
  local entries = recorder.entries
  entries[#entries + 1] = string.format('%.0f', recorder.micros)
  entries[#entries + 1] = json .. '}'
end

-- Adds scores and members to a queue. A key of another type keeps none of them.
local function enqueue(queue, entries, most, life)
  local added = redis.pcall('ZADD', queue, unpack(entries))
  if type(added) == 'table' then return end
  local over = redis.call('ZCARD', queue) - most
  if over > 0 then
    local oldest = redis.call('ZRANGEBYSCORE', queue, '(0', '+inf', 'LIMIT', '0', over)
    for _, event in ipairs(oldest) do redis.call('ZREM', queue, event) end
    redis.call('ZINCRBY', queue, -#oldest, '#')
  end
  redis.call('PEXPIRE', queue, life)
end

-- Writes what was noted since the last call. Returns whether there was anything.
local function record(recorder, queue)
  local entries = recorder.entries
  if #entries == 0 then return false end
  recorder.entries = {}
  enqueue(queue, entries, recorder.most, recorder.life)
  return true
end

