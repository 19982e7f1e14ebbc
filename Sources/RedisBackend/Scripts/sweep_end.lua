-- Ends the sweep of a node: the lease is removed last, so that a sweep that broke off is continued.
-- KEYS  1 leases  2 the node's report  3 swept  4 leaving  5 owner
-- ARGV  1 node  2 whether the node swept itself: 0 or 1  3 the process that gives up the node's id, or empty
-- Reply 1
if ARGV[2] == '1' then
  -- The mark stays: the node that set it may still be sweeping while a new process has the same id.
  redis.call('ZREM', KEYS[1], ARGV[1])
  redis.call('ZREM', KEYS[4], ARGV[1])
  redis.call('DEL', KEYS[2])
  if redis.call('GET', KEYS[5]) == ARGV[3] then redis.call('DEL', KEYS[5]) end
  return 1
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local expiry = redis.call('ZSCORE', KEYS[1], ARGV[1])
if expiry and tonumber(expiry) < now then
  redis.call('ZREM', KEYS[1], ARGV[1])
  redis.call('ZREM', KEYS[4], ARGV[1])
  redis.call('DEL', KEYS[2])
end
-- Marked again: a node that came back during the sweep has lost again what it had asserted.
redis.call('ZADD', KEYS[3], string.format('%.0f', now), ARGV[1])
return 1
