-- Takes connections out of a room's members; a repetition changes nothing, so user_left is published once, however many
-- nodes remove the same connection. The counter of a room that is left empty and never had a message lives on for a while
-- only.
-- KEYS  1 members  2 users  3 meta
-- ARGV  1 channel  2 term  3 life of such a counter, ms; then for each connection its name, its user (empty: not known),
--       its user as JSON
-- Reply the number of connections that were members

-- Asked before anything is changed: a key of another type ends the script here.
local users = redis.call('HLEN', KEYS[2])
local removed, ms = 0, nil
for i = 4, #ARGV, 3 do
  local name, user = ARGV[i], ARGV[i + 1]
  if redis.call('HDEL', KEYS[1], name) == 1 then
    removed = removed + 1
    if user ~= '' and redis.call('HINCRBY', KEYS[2], user, -1) <= 0 then
      redis.call('HDEL', KEYS[2], user)
      users = users - 1
      if not ms then
        local t = redis.call('TIME')
        ms = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
      end
      redis.call('PUBLISH', ARGV[1], '-' .. ARGV[2] .. ' l ' .. ms .. ' ' .. name .. ' ' .. ARGV[i + 2] .. '\n')
    end
  end
end
if users <= 0 then
  local epoch = redis.call('HGET', KEYS[3], 'epoch')
  if epoch and redis.call('HGET', KEYS[3], epoch) == '0' then redis.call('PEXPIRE', KEYS[3], ARGV[3]) end
end
return removed
