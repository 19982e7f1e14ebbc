-- Names the time in which this server is the master, by a name that nobody gave before. A replica that was promoted finds the
-- name that its master had; one that sentinels make the master again without ever having demoted it finds its own, and is told
-- by whoever comes from another reign, the first of them.
-- KEYS  1 reign
-- ARGV  1 the server: eight letters of its run_id, and of its replication id, which changes with every promotion
--       2 the reign in which the node was before, or empty
-- Reply the name
local known = redis.call('HMGET', KEYS[1], 'name', 'from')
local name, from = known[1], known[2]
local isOwn = name and string.sub(name, 1, 16) == ARGV[1]
local isNext = ARGV[2] ~= '' and string.sub(ARGV[2], 1, 8) ~= string.sub(ARGV[1], 1, 8) and ARGV[2] ~= from
if not isOwn or isNext then
  local t = redis.call('TIME')
  name = ARGV[1] .. '-' .. string.format('%x', t[1] * 1000000 + t[2])
  redis.call('HSET', KEYS[1], 'name', name, 'from', ARGV[2])
end
return name
