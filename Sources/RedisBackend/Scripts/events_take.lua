-- Gives the oldest events to the one node that delivers them, and removes what it has delivered.
-- KEYS  1 queue  2 lease
-- ARGV  1 process of the node  2 life of its lease, ms; 0: it gives the lease up  3 age at which events are dropped, ms
--       4 events at most  then the events that were delivered
-- Reply nothing when another process has the lease; else how many events were dropped since the last time, how many wait, the age
--       of the oldest in ms, and the oldest, as many as were asked for
for i = 5, #ARGV do redis.call('ZREM', KEYS[1], ARGV[i]) end
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[1] then return false end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[2])
else
  redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
end
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local dropped = -(redis.call('ZSCORE', KEYS[1], '#') or 0)
if dropped > 0 then redis.call('ZREM', KEYS[1], '#') end
local expired = redis.call('ZRANGEBYSCORE', KEYS[1], '(0', '(' .. string.format('%.0f', now - ARGV[3] * 1000), 'LIMIT', '0', '1000')
for _, event in ipairs(expired) do redis.call('ZREM', KEYS[1], event) end
local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
local age = oldest and math.max(0, math.floor((now - oldest) / 1000)) or 0
local events = ARGV[4] ~= '0' and redis.call('ZRANGE', KEYS[1], 0, ARGV[4] - 1) or {}
return { dropped + #expired, redis.call('ZCARD', KEYS[1]), age, events }
