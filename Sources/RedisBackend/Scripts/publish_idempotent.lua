-- Publishes a message outside of rooms once, however often it is sent with the same id.
-- KEYS  1 new ids  2 old ids
-- ARGV  1 channel  2 envelope  3 number of connections that it is for  4 id
-- Reply the number that the first call was made with
local first = redis.call('HGET', KEYS[1], ARGV[4]) or redis.call('HGET', KEYS[2], ARGV[4])
if first then return tonumber(first) end
redis.call('PUBLISH', ARGV[1], ARGV[2])
redis.call('HSET', KEYS[1], ARGV[4], ARGV[3])
-- After a flush the hash is made here, without the field and the end that ids.lua gives it.
if redis.call('HLEN', KEYS[1]) == 1 then redis.call('PEXPIRE', KEYS[1], '720000') end
return tonumber(ARGV[3])
