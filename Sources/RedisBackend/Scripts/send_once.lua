-- Publishes something outside of rooms once, however often it is asked for with the same key.
-- KEYS  1 dedupe
-- ARGV  1 channel  2 envelope  3 number of connections it is for  4 dedupe TTL ms
-- Reply the number that the first one was asked with
local first = redis.call('GET', KEYS[1])
if first then return tonumber(first) end
redis.call('PUBLISH', ARGV[1], ARGV[2])
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
return tonumber(ARGV[3])
