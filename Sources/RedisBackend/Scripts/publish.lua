-- Gives a message its offset, keeps it, and has every subscribed node hear it. The hot path: every command and every
-- argument costs, and so does every number made into text.
-- KEYS  1 meta  2 log  3 dedupe (only when the message carries an id)
-- ARGV  1 channel  2 envelope  3 epoch as the node knows it, or empty  4 index of the oldest entry to keep, from the end
--       5 log TTL ms (only when due)  6 meta TTL ms (only when due, with 5)
-- Reply the offset when the node's epoch is right, else EPOCH:OFFSET; for an id that is repeated within 5 min the
--       first EPOCH:OFFSET
local meta, log, dedupe, epoch, call = KEYS[1], KEYS[2], KEYS[3], ARGV[3], redis.call
if dedupe then
  local first = call('GET', dedupe)
  if first then return first end
end

-- The counter is a field named like its epoch, so counting also compares: a wrong epoch counts from 1, which is looked into.
local offset = call('HINCRBY', meta, epoch, 1)
if offset == 1 and call('HGET', meta, 'epoch') ~= epoch then
  call('HDEL', meta, epoch)
  epoch = call('HGET', meta, 'epoch')
  if epoch then
    offset = call('HINCRBY', meta, epoch, 1)
  else
    -- The counter was lost, or never was.
    local t = call('TIME')
    epoch = string.format('%x', t[1] * 1000000 + t[2])
    call('HSET', meta, 'epoch', epoch, epoch, 1)
    call('DEL', log)
    -- A day, until the next refresh says better: no key may stay for ever.
    call('PEXPIRE', meta, 86400000)
  end
end

if call('RPUSH', log, ARGV[2]) == 1 then
  call('PEXPIRE', log, 86400000)
elseif offset % 16 == 0 then
  -- Cutting costs as much as keeping, so not every message pays for it; the log holds up to 15 more than it should.
  call('LTRIM', log, ARGV[4], -1)
end

local text = string.format('%d', offset)
call('PUBLISH', ARGV[1], epoch .. ':' .. text .. ' ' .. ARGV[2])
if dedupe then call('SET', dedupe, epoch .. ':' .. text, 'PX', 300000) end
if ARGV[5] then
  call('PEXPIRE', log, ARGV[5])
  if ARGV[6] then call('PEXPIRE', meta, ARGV[6]) end
end
if epoch ~= ARGV[3] then return epoch .. ':' .. text end
return offset
