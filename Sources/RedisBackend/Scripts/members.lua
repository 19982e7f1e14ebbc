-- Reads a page of a room's members, by user, then by connection.
-- KEYS  1 order  2 members  3 users  4 extras
-- ARGV  1 where to begin, as ZRANGEBYLEX takes it  2 entries at most
-- Reply number of users in the room, and of connections; the entries, each a user, a zero byte, a connection, which is empty
--       for a user in grace; the member of each, or nothing; users of the page with a state; their states
local users = redis.call('HLEN', KEYS[3])
local entries = redis.call('ZRANGEBYLEX', KEYS[1], ARGV[1], '+', 'LIMIT', '0', ARGV[2])
local connections = redis.call('HLEN', KEYS[2])
if #entries == 0 then return { users, connections, {}, {}, {}, {} } end
local find, sub = string.find, string.sub
local names, places = {}, {}
for i, entry in ipairs(entries) do
  local place = find(entry, '\0', 1, true) or 0
  local next = find(entry, '\0', place + 1, true)
  while next do place, next = next, find(entry, '\0', next + 1, true) end
  names[i], places[i] = sub(entry, place + 1), place
end
local members = redis.call('HMGET', KEYS[2], unpack(names))
local talkers, states = {}, {}
if redis.call('HLEN', KEYS[4]) > 0 then
  local whom, fields = {}, {}
  for i, entry in ipairs(entries) do
    local user = sub(entry, 1, places[i] - 1)
    if names[i] == '' then members[i] = redis.call('HGET', KEYS[4], 'g' .. user) end
    if whom[#whom] ~= user then whom[#whom + 1], fields[#fields + 1] = user, 's' .. user end
  end
  for i, state in ipairs(redis.call('HMGET', KEYS[4], unpack(fields))) do
    if state then
      talkers[#talkers + 1] = whom[i]
      states[#states + 1] = state
    end
  end
end
return { users, connections, entries, members, talkers, states }
