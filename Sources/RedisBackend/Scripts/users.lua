-- Reads a part of a room's users, in no order, and their states.
-- KEYS  1 users  2 extras
-- ARGV  1 cursor of HSCAN, 0 at the beginning  2 users that it looks at
-- Reply the next cursor, 0 at the end; users; those of them with a state; their states
local scan = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local users, fields, talkers, states = {}, {}, {}, {}
for i = 1, #scan[2], 2 do users[#users + 1] = scan[2][i] end
if #users > 0 and redis.call('HLEN', KEYS[2]) > 0 then
  for i, user in ipairs(users) do fields[i] = 's' .. user end
  for i, state in ipairs(redis.call('HMGET', KEYS[2], unpack(fields))) do
    if state then
      talkers[#talkers + 1] = users[i]
      states[#states + 1] = state
    end
  end
end
return { scan[1], users, talkers, states }
