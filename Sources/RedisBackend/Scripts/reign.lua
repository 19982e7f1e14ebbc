-- Names the time in which this server is the master: a name that nobody gave before, unless it has one already. A replica
-- that was promoted finds the name that its master had.
-- KEYS  1 reign
-- ARGV  1 run_id of the server
local run = string.sub(ARGV[1], 1, 8)
local reign = redis.call('GET', KEYS[1])
if not reign or string.sub(reign, 1, 8) ~= run then
  local t = redis.call('TIME')
  reign = run .. '-' .. string.format('%x', t[1] * 1000000 + t[2])
  redis.call('SET', KEYS[1], reign)
end
return reign
