-- Ends the stay of users whose grace has passed: the oldest, a limited number of them.
-- KEYS  1 meta  2 users  3 order  4 extras  5 graces  6 the queue of events, if they are recorded
-- ARGV  1 channel  2 master tag  3 users at most  4 life of the counter of a room that everybody has left and nobody has published
--       in, ms  5 which events are recorded, as room_events.lua reads it, or empty
-- Reply the time until the next grace ends, ms, 0 when more have passed; nothing when none is left
local meta, users, order, extras, graces = unpack(KEYS)
local t = redis.call('TIME')
local events = recorder(ARGV[5], t)
local now = t[1] * 1000 + math.floor(t[2] / 1000)
-- Asked before anything is changed: a key of another type ends the script here.
local total = redis.call('HLEN', users)
local due = redis.call('ZRANGEBYSCORE', graces, '-inf', string.format('%.0f', now), 'LIMIT', '0', ARGV[3])
if #due > 0 then
  local notices, left, places, fields = {}, {}, {}, {}
  local counts = redis.call('HMGET', users, unpack(due))
  for i, user in ipairs(due) do
    fields[i] = 'g' .. user
    places[i] = user .. '\0'
    if counts[i] == '0' then
      left[#left + 1] = user
      notices[#notices + 1] = string.format('l %.0f - ', now) .. quoted(user) .. '\n'
      if events then note(events, ARGV[1], 'l', user) end
      fields[#due + #left] = 's' .. user
    end
  end
  redis.call('ZREM', order, unpack(places))
  redis.call('ZREM', graces, unpack(due))
  redis.call('HDEL', extras, unpack(fields))
  if #left > 0 then
    total = total - redis.call('HDEL', users, unpack(left))
    redis.call('PUBLISH', ARGV[1], '-' .. ARGV[2] .. ' ' .. table.concat(notices, '\30'))
  end
  if total <= 0 then
    if events and #left > 0 then note(events, ARGV[1], 'e') end
    redis.call('UNLINK', order, extras, graces)
    local epoch = redis.call('HGET', meta, 'epoch')
    if epoch and redis.call('HGET', meta, epoch) == '0' then redis.call('PEXPIRE', meta, ARGV[4]) end
  end
end
if events then record(events, KEYS[6]) end
local next = redis.call('ZRANGE', graces, 0, 0, 'WITHSCORES')[2]
if next then return math.max(0, tonumber(next) - now) end
redis.call('HDEL', meta, 'graced')
return false
