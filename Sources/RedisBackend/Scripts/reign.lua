-- Names the time in which this server is the master, by a name that nobody gave before. A replica that was promoted finds the
-- name that its master had; one that sentinels make the master again without ever having demoted it finds its own, and is told
-- by the first who comes from a later reign.
-- KEYS  1 reign
-- ARGV  1 the server: eight letters of its run_id, and of its replication id, which changes with every promotion
--       2 the reign in which the node was before, or empty
-- Reply the name: the server, a dash, when it was named in µs, hexadecimal
local name, before = redis.call('GET', KEYS[1]), ARGV[2]
local isOwn = name and string.sub(name, 1, 16) == ARGV[1]
if isOwn and string.sub(before, 1, 8) ~= string.sub(ARGV[1], 1, 8) then
  isOwn = string.sub(before, 18) < string.sub(name, 18)
end
if not isOwn then
  local t = redis.call('TIME')
  name = ARGV[1] .. '-' .. string.format('%x', t[1] * 1000000 + t[2])
  redis.call('SET', KEYS[1], name)
end
return name
