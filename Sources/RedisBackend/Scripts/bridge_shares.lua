-- Divides the shards of a bridge's rooms among the processes that run it, and renews what the caller has.
-- KEYS  1 leases: shard -> when the lease ends, a space, the process  2 processes of the bridge, each with the time it is known until
-- ARGV  1 process  2 life of a lease, ms; 0: the process ends and gives everything back  3 shards in all
--       then the shards that it gives back
-- Reply the shards that are a fair share, then those that the process has now
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local process, life, count = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
for i = 4, #ARGV do
  local lease = redis.call('HGET', KEYS[1], ARGV[i])
  if lease and string.sub(lease, string.find(lease, ' ', 1, true) + 1) == process then redis.call('HDEL', KEYS[1], ARGV[i]) end
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now))
if life == 0 then redis.call('ZREM', KEYS[2], process) else redis.call('ZADD', KEYS[2], string.format('%.0f', now + life), process) end
local fair = math.ceil(count / math.max(1, redis.call('ZCARD', KEYS[2])))
local own, free = {}, {}
local leases = redis.call('HGETALL', KEYS[1])
local holders = {}
for i = 1, #leases, 2 do
  local space = string.find(leases[i + 1], ' ', 1, true)
  local ends = tonumber(string.sub(leases[i + 1], 1, space - 1))
  -- A clock that was set back must not make a lease longer.
  if ends > now and ends <= now + 60000 then holders[leases[i]] = string.sub(leases[i + 1], space + 1) end
end
for shard = 0, count - 1 do
  local name = string.format('%d', shard)
  if holders[name] == process then
    own[#own + 1] = name
  elseif not holders[name] then
    free[#free + 1] = name
  end
end
if life == 0 then
  for _, name in ipairs(own) do redis.call('HDEL', KEYS[1], name) end
  return { fair }
end
while #own < fair and #free > 0 do own[#own + 1] = table.remove(free) end
local reply = { fair }
for i, name in ipairs(own) do
  redis.call('HSET', KEYS[1], name, string.format('%.0f ', now + life) .. process)
  reply[i + 1] = name
end
redis.call('PEXPIRE', KEYS[1], 60000 + life)
redis.call('PEXPIRE', KEYS[2], 60000 + life)
return reply
