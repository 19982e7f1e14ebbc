-- Renews a node's lease and returns whose lease has expired: the only upkeep of presence, at constant cost.
-- KEYS  1 leases  2 the node's report  3 swept  4 leaving  5 owner
-- ARGV  1 node  2 lease ms  3 report  4 whether this is the first renewal of this process: 0 or 1  5 mark life ms
--       6 how long after a mark its sweeper may still be at work, ms  7 for how long a node may hand over, ms
--       8 this process
-- Reply standing (0 held, 1 forgotten, 2 swept, 3 another process has the node's id, and nothing was renewed), nodes whose lease has expired, nodes that have handed over, the time
--       of Redis in ms, 1 when a resync was requested, else 0
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local owner = redis.call('GET', KEYS[5])
if owner and owner ~= ARGV[8] then return { 3, {}, {}, now, 0 } end
redis.call('SET', KEYS[5], ARGV[8], 'PX', ARGV[2])
local standing = 0
local mark = redis.call('ZSCORE', KEYS[3], ARGV[1])
if mark then
  standing = 2
  -- A young mark stays: its sweeper may yet remove what is asserted now, and may die before it marks again.
  if tonumber(mark) <= now - ARGV[6] then redis.call('ZREM', KEYS[3], ARGV[1]) end
  -- The clock was set back: the mark is as old as this moment, for all that is known.
  if tonumber(mark) > now then redis.call('ZADD', KEYS[3], string.format('%.0f', now), ARGV[1]) end
elseif not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  standing = 1
  -- A mark may have been forgotten too, and its sweeper may be at work.
  if ARGV[4] ~= '1' then redis.call('ZADD', KEYS[3], string.format('%.0f', now), ARGV[1]) end
end
if ARGV[4] == '1' then standing = 0 end
redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[2]), ARGV[1])
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', string.format('%.0f', now - ARGV[5]))
-- No lease ends later than one that begins now, unless the clock was set back: a dead node would stay by as much. It began
-- a third ago at least, for all that is known; a living node renews it before it ends.
for _, node in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', now + ARGV[2]), '+inf')) do
  local isLeaving = redis.call('ZSCORE', KEYS[4], node)
  local longest = isLeaving and math.max(ARGV[2], ARGV[7]) or tonumber(ARGV[2])
  if tonumber(redis.call('ZSCORE', KEYS[1], node)) > now + longest then
    redis.call('ZADD', KEYS[1], string.format('%.0f', now + (isLeaving and longest or longest * 2 / 3)), node)
  end
end
local expired = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. string.format('%.0f', now))
-- See request_resync.lua.
local isRequested = redis.call('ZREM', KEYS[3], ARGV[1] .. '\n')
return { standing, expired, redis.call('ZRANGE', KEYS[4], 0, -1), now, isRequested }
