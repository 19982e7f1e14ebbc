-- Lists the nodes whose lease stands, with their reports, but for those that have ended and handed their members over.
-- The report keys share the leases' hash slot.
-- KEYS  1 leases  2 leaving
-- ARGV  1 prefix of the report keys
-- Reply node, report, node, report, … ; a report that is gone reads {}
local t = redis.call('TIME')
local now = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
local reply = {}
for _, node in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], now, '+inf')) do
  if not redis.call('ZSCORE', KEYS[2], node) then
    reply[#reply + 1] = node
    reply[#reply + 1] = redis.call('GET', ARGV[1] .. node) or '{}'
  end
end
return reply
