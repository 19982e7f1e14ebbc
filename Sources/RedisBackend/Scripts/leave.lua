-- Takes a connection out of a room's members; a repetition changes nothing.
-- KEYS  1 members  2 users
-- ARGV  1 connection  2 user  3 user as JSON  4 channel  5 term
-- Reply 1 when it was a member, else 0
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
if redis.call('HINCRBY', KEYS[2], ARGV[2], -1) <= 0 then
  redis.call('HDEL', KEYS[2], ARGV[2])
  local t = redis.call('TIME')
  local ms = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
  redis.call('PUBLISH', ARGV[4], '-' .. ARGV[5] .. ' l ' .. ms .. ' ' .. ARGV[1] .. ' ' .. ARGV[3] .. '\n')
end
return 1
