-- Claims the sweep of a dead node. By the mark the node learns, should it come back, that its presence was removed.
-- KEYS  1 leases  2 swept
-- ARGV  1 node  2 how long a claim keeps other sweepers out, ms  3 whether the caller has claimed it already: 0 or 1
-- Reply 1 when the lease has expired and no other node is sweeping, else 0
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local expiry = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not expiry or tonumber(expiry) >= now then return 0 end
local claimed = redis.call('ZSCORE', KEYS[2], ARGV[1])
-- A claim of a later time was made before the clock was set back.
local isClaimed = claimed and tonumber(claimed) > now - ARGV[2] and tonumber(claimed) <= now
if isClaimed and ARGV[3] ~= '1' then return 0 end
redis.call('ZADD', KEYS[2], string.format('%.0f', now), ARGV[1])
return 1
