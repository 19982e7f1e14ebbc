-- Marks a node that may have members in Redis which it does not know: its next renewal finds the mark. The line feed, which
-- no node's id holds, tells it from the mark of a sweep.
-- KEYS  1 swept
-- ARGV  1 node
-- Reply the number of marks made
local t = redis.call('TIME')
return redis.call('ZADD', KEYS[1], string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000)), ARGV[1] .. '\n')
