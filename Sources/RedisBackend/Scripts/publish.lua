-- Gives a message its offset, keeps it, and has every subscribed node hear it. The hot path: every argument costs.
-- KEYS  1 meta  2 log  3 dedupe (only when the message carries an id)
-- ARGV  1 channel  2 envelope  3 history size  4 log TTL ms (only when due)  5 meta TTL ms (only when due, with 4)
-- Reply EPOCH:OFFSET, the first one for an id that is repeated within 5 min
local meta, log, dedupe, call = KEYS[1], KEYS[2], KEYS[3], redis.call
if dedupe then
  local first = call('GET', dedupe)
  if first then return first end
end

local offset = call('HINCRBY', meta, 'o', 1)
local epoch = call('HGET', meta, 'e')
local added
if epoch and ARGV[3] ~= '0' then
  added = redis.pcall('XADD', log, 'MAXLEN', '~', ARGV[3], '0-' .. offset, 'm', ARGV[2])
end
-- No epoch: the counter was lost. A refused entry: the log is ahead of the counter, which is from before a loss.
if not epoch or type(added) == 'table' then
  local t = call('TIME')
  epoch, offset = string.format('%x', t[1] * 1000000 + t[2]), 1
  call('HSET', meta, 'e', epoch, 'o', 1)
  call('DEL', log)
  if ARGV[3] ~= '0' then call('XADD', log, '0-1', 'm', ARGV[2]) end
  -- A day, until the next refresh says better: no key may stay for ever.
  call('PEXPIRE', meta, 86400000)
  call('PEXPIRE', log, 86400000)
end
local position = epoch .. ':' .. offset
call('PUBLISH', ARGV[1], position .. ' ' .. ARGV[2])
if dedupe then call('SET', dedupe, position, 'PX', 300000) end
if ARGV[4] then
  call('PEXPIRE', log, ARGV[4])
  if ARGV[5] then call('PEXPIRE', meta, ARGV[5]) end
end
return position
