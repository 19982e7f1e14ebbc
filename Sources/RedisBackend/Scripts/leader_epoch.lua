-- Returns the leader epoch of this server: a name for the time in which it is the master, which no other time has. A promoted
-- replica finds its master's name and writes a new one. A server that sentinels make the master again without having demoted
-- it finds its own name; the first node that comes from a later leader epoch has it replaced.
-- KEYS  1 leader_epoch
-- ARGV  1 the server: eight characters of its run_id, and of its replication id, which changes with every promotion
--       2 the last leader epoch that the node saw, or empty
-- Reply the name: the server, a dash, the time at which it was made in µs, hexadecimal
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
