-- Lets a node's lease end after a grace instead of now: its members stay until then, and are swept afterwards.
-- KEYS  1 leases  2 the node's report  3 leaving  4 owner
-- ARGV  1 node  2 how long its members stay, ms  3 the process that gives up the node's id
-- Reply 1
local t = redis.call('TIME')
local ends = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000) + ARGV[2])
redis.call('ZADD', KEYS[1], ends, ARGV[1])
redis.call('ZADD', KEYS[3], ends, ARGV[1])
redis.call('DEL', KEYS[2])
if redis.call('GET', KEYS[4]) == ARGV[3] then redis.call('DEL', KEYS[4]) end
return 1
