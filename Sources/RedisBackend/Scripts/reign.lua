-- Names the time in which this server is the master, by a name that nobody gave before. A replica that was promoted finds the
-- name that its master had; one that sentinels make the master again without ever having demoted it finds its own, and is told
-- by whoever comes from another reign, the first of them.
-- KEYS  1 reign
-- ARGV  1 run_id of the server  2 the reign in which the node was before, or empty
-- Reply the name
local run = string.sub(ARGV[1], 1, 8)
local known = redis.call('HMGET', KEYS[1], 'name', 'from')
local name, from = known[1], known[2]
local isOwn = name and string.sub(name, 1, 8) == run
local isNext = ARGV[2] ~= '' and string.sub(ARGV[2], 1, 8) ~= run and ARGV[2] ~= from
if not isOwn or isNext then
  local t = redis.call('TIME')
  name = run .. '-' .. string.format('%x', t[1] * 1000000 + t[2])
  redis.call('HSET', KEYS[1], 'name', name, 'from', ARGV[2])
end
return name
