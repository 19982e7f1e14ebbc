-- Lets one node at a time scan for members of nodes without a lease, and records when the last scan was finished.
-- KEYS  1 orphan_scan
-- ARGV  1 node  2 `begin`, `page` while it goes on, or `end`  3 how long ago the loss was noticed, ms  4 how long a claim
--       is valid without a page, ms
-- Reply 1 when the node may scan, or its progress was recorded; 0 when a scan was finished since the loss; 2 when another
--       node is scanning
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local node, began, seen = unpack(redis.call('HMGET', KEYS[1], 'node', 'began', 'seen'))
if ARGV[2] == 'begin' then
  local done = redis.call('HGET', KEYS[1], 'done')
  -- A time in the future was written before the clock was set back.
  if done and tonumber(done) >= now - ARGV[3] and tonumber(done) <= now then return 0 end
  if node and node ~= ARGV[1] and math.abs(now - tonumber(seen)) < tonumber(ARGV[4]) then return 2 end
  redis.call('HSET', KEYS[1], 'node', ARGV[1], 'began', string.format('%.0f', now), 'seen', string.format('%.0f', now))
elseif node == ARGV[1] then
  redis.call('HSET', KEYS[1], 'seen', string.format('%.0f', now))
  if ARGV[2] == 'end' then
    redis.call('HSET', KEYS[1], 'done', began)
    redis.call('HDEL', KEYS[1], 'node', 'began', 'seen')
  end
end
redis.call('PEXPIRE', KEYS[1], '600000')
return 1
