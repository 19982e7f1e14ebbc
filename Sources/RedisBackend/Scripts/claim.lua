-- Takes a node's id for one process. A process that runs renews its claim with its lease; both end together.
-- KEYS  1 owner
-- ARGV  1 this process  2 lease ms  3 a process that is known to have ended, or empty
-- Reply the process that has the id; empty when it is this one now
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] and owner ~= ARGV[3] then return owner end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ''
