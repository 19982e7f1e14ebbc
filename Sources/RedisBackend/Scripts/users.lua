-- Reads a part of a room's users, in no order, and their states.
-- KEYS  1 users  2 extras
-- ARGV  1 cursor of HSCAN, 0 at the beginning  2 users that it looks at
-- Reply the next cursor, 0 at the end; an array of users, each followed by its state, or by nothing: an empty string
local scan = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local users, fields = scan[2], {}
for i = 1, #users, 2 do fields[#fields + 1], users[i + 1] = 's' .. users[i], '' end
if #users > 0 and redis.call('HLEN', KEYS[2]) > 0 then
  for i, state in ipairs(redis.call('HMGET', KEYS[2], unpack(fields))) do users[i + i] = state or '' end
end
return scan
