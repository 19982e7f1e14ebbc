-- Puts a connection into a room's members; a repetition changes nothing.
-- KEYS  1 meta  2 log  3 members  4 users
-- ARGV  1 meta TTL ms  2 whether to refresh it: 0 or 1  3 connection  4 member JSON  5 user  6 user as JSON
--       7 channel  8 whether to announce a user's first connection: 0 or 1  9 term
--       10 key of the reign, or empty
-- Reply EPOCH:OFFSET, number of users
-- Asked before anything is changed: a key of another type ends the script here.
redis.call('HLEN', KEYS[4])
local epoch = redis.call('HGET', KEYS[1], 'epoch')
local offset = epoch and redis.call('HGET', KEYS[1], epoch)
if not offset then
  local t = redis.call('TIME')
  epoch, offset = string.format('%x', t[1] * 1000000 + t[2]), '0'
  redis.call('DEL', KEYS[1], KEYS[2])
  redis.call('HSET', KEYS[1], 'epoch', epoch, epoch, 0)
  local reign = ARGV[10] ~= '' and redis.call('GET', ARGV[10])
  if reign then redis.call('HSET', KEYS[1], 'reign', reign) end
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
elseif ARGV[2] == '1' or offset == '0' then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
if redis.call('HSETNX', KEYS[3], ARGV[3], ARGV[4]) == 1 then
  if redis.call('HINCRBY', KEYS[4], ARGV[5], 1) == 1 and ARGV[8] == '1' then
    local t = redis.call('TIME')
    local ms = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
    redis.call('PUBLISH', ARGV[7], '-' .. ARGV[9] .. ' j ' .. ms .. ' ' .. ARGV[3] .. ' ' .. ARGV[6] .. '\n')
  end
end
return { epoch .. ':' .. offset, redis.call('HLEN', KEYS[4]) }
