-- Keeps a revocation until it ends. Those that have ended are removed first, so that they do not count.
-- KEYS  1 revoked
-- ARGV  1 what is revoked  2 for how long, ms  3 how many are allowed
-- Reply when it ends, ms since 1970; 0 when there are as many already
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
local known = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not known and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
local ends = now + ARGV[2]
if known and tonumber(known) > ends then ends = tonumber(known) end
redis.call('ZADD', KEYS[1], string.format('%.0f', ends), ARGV[1])
local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', tonumber(last[2])))
return ends
