-- Gives nodes that have members and no lease an expired lease, so that a sweep removes their members. Does nothing when the
-- calling node has no lease itself: then the leases were lost, and do not tell which nodes live.
-- KEYS  1 leases
-- ARGV  1 the calling node  2 … nodes
-- Reply 1 when it was done, else 0
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], 'NX', 1, ARGV[i]) end
return 1
