-- Reads a page of a room's members, by user, then by connection.
-- KEYS  1 order  2 members  3 users  4 extras
-- ARGV  1 where to begin, as ZRANGEBYLEX takes it  2 entries at most
-- Reply number of users in the room, and of connections; the entries, each a user, a zero byte, a connection, which is empty for a user in grace;
--       the member of each, or nothing; users of the page who say something; what they say
local users = redis.call('HLEN', KEYS[3])
local entries = redis.call('ZRANGEBYLEX', KEYS[1], ARGV[1], '+', 'LIMIT', '0', ARGV[2])
local connections = redis.call('HLEN', KEYS[2])
if #entries == 0 then return { users, connections, {}, {}, {}, {} } end
local names, whom, graced = {}, {}, {}
for i, entry in ipairs(entries) do
  local user, name = string.match(entry, '^(.*)%z([^%z]*)$')
  names[i] = name or ''
  if user and whom[#whom] ~= user then whom[#whom + 1] = user end
  if name == '' then graced[#graced + 1] = i end
end
local members = redis.call('HMGET', KEYS[2], unpack(names))
local talkers, states = {}, {}
if redis.call('HLEN', KEYS[4]) > 0 then
  for _, i in ipairs(graced) do members[i] = redis.call('HGET', KEYS[4], 'g' .. string.sub(entries[i], 1, -2)) end
  local fields = {}
  for i, user in ipairs(whom) do fields[i] = 's' .. user end
  for i, state in ipairs(redis.call('HMGET', KEYS[4], unpack(fields))) do
    if state then
      talkers[#talkers + 1] = whom[i]
      states[#states + 1] = state
    end
  end
end
return { users, connections, entries, members, talkers, states }
