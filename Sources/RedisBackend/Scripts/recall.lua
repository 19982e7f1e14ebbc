-- Marks a living node as one that was swept: its next renewal then asserts its members again and looks who is there that
-- it does not know.
-- KEYS  1 swept
-- ARGV  1 node
-- Reply the number of marks made
local t = redis.call('TIME')
return redis.call('ZADD', KEYS[1], string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000)), ARGV[1])
