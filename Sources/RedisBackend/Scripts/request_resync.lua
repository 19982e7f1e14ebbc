-- Marks a node that may have members in Redis that it does not know: its next renewal finds the mark and compares. The line
-- feed, which no node id contains, distinguishes the mark from that of a sweep.
-- KEYS  1 swept
-- ARGV  1 node
-- Reply the number of marks added
local t = redis.call('TIME')
return redis.call('ZADD', KEYS[1], string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000)), ARGV[1] .. '\n')
