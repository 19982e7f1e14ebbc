-- Lists the nodes whose lease stands, with their reports. The report keys share the leases' hash slot.
-- KEYS  1 leases
-- ARGV  1 prefix of the report keys
-- Reply node, report, node, report, … ; a report that is gone reads {}
local t = redis.call('TIME')
local now = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
local reply = {}
for i, node in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], now, '+inf')) do
  reply[2 * i - 1] = node
  reply[2 * i] = redis.call('GET', ARGV[1] .. node) or '{}'
end
return reply
