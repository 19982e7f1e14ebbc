-- Gives nodes that have members and no lease one that has run out, so that they are swept. Nothing is done when the asker has
-- none itself: then the leases were lost, and say nothing of who lives.
-- KEYS  1 leases
-- ARGV  1 the asker's node  2 … nodes
-- Reply 1 when it was done, else 0
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], 'NX', 1, ARGV[i]) end
return 1
