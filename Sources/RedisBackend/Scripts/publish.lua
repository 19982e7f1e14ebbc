-- Gives messages their offsets, appends them to the logs, and publishes them: one message, or those of a tick, because a
-- script run costs as much as one message in it. The hot path: every command, every argument and every string that is
-- made costs, so the common case is written out, and '1' is a string because a number would be formatted.
-- KEYS  for each message: meta, log, and the new and the old ids when the message carries one
-- ARGV  for each message: channel; envelope; epoch as the node knows it, or `r` and the key of the leader epoch behind sentinels,
--       or empty; and more to do, or empty: `d` and the 16 bytes of an id, then, when due, SIZE of the log, its TTL in ms, and the meta's, each after a space
-- Reply for one message the offset when the node's epoch is right, else EPOCH:OFFSET; for an id that is repeated within
--       5 min an array of the first EPOCH:OFFSET. For several messages an array of that, with an error for a message whose
--       keys have another type
local keys, args, call, try = KEYS, ARGV, redis.call, redis.pcall
local replies, n, k = nil, 0, 0

for a = 1, #args, 4 do
  local meta, log, ids, envelope, known, more = keys[k + 1], keys[k + 2], nil, args[a + 1], args[a + 2], args[a + 3]
  local id, size, logTTL, metaTTL, reply
  k = k + 2
  if more ~= '' then
    if string.byte(more) == 100 then
      ids, id = keys[k + 1], string.sub(more, 2, 17)
      reply = try('HGET', ids, id) or try('HGET', keys[k + 2], id)
      k = k + 2
      if type(reply) == 'string' then reply = { reply } end
      if #more > 17 then size, logTTL, metaTTL = string.match(more, ' (%S+) ?(%S*) ?(%S*)', 18) end
    else
      size, logTTL, metaTTL = string.match(more, ' (%S+) ?(%S*) ?(%S*)')
    end
  end

  if not reply then
    -- The counter is a field named like its epoch, so counting also compares: a wrong epoch counts from 1, which is looked into.
    local epoch, offset = known, try('HINCRBY', meta, known, '1')
    if offset == 1 and call('HGET', meta, 'epoch') == epoch then
      -- Its first message: the life of a room without messages ends, until the next refresh sets the right one.
      call('PEXPIRE', meta, '86400000')
    elseif offset == 1 then
      call('HDEL', meta, epoch)
      epoch = call('HGET', meta, 'epoch')
      local leader = string.byte(known) == 114 and call('GET', string.sub(known, 2)) or nil
      if epoch and (not leader or call('HGET', meta, 'leader_epoch') == leader) then
        offset = call('HINCRBY', meta, epoch, '1')
      elseif epoch then
        -- Other nodes may have the last messages of another master at the next offsets: the room gets a new epoch, which
        -- continues the one before where it ends here. A number that is cut only becomes smaller.
        local t, lineage, last = call('TIME'), call('HGET', meta, 'lineage'), call('HGET', meta, epoch) or '0'
        lineage = epoch .. ':' .. last .. (lineage and ' ' .. string.sub(lineage, 1, 200) or '')
        call('HDEL', meta, epoch)
        epoch = string.format('%x', t[1] * 1000000 + t[2])
        call('HSET', meta, 'epoch', epoch, epoch, last, 'leader_epoch', leader, 'lineage', lineage)
        offset = call('HINCRBY', meta, epoch, '1')
      else
        -- The counter was lost, or never was.
        local t = call('TIME')
        epoch = string.format('%x', t[1] * 1000000 + t[2])
        call('HSET', meta, 'epoch', epoch, epoch, '1', 'graced', '1')
        if leader then call('HSET', meta, 'leader_epoch', leader) end
        call('DEL', log)
        -- A day, until the next refresh sets the right life: every key must expire.
        call('PEXPIRE', meta, '86400000')
      end
    end
    local length = type(offset) == 'number' and try('RPUSH', log, envelope) or offset
    if type(length) == 'number' then
      if length == 1 then
        call('PEXPIRE', log, '86400000')
      elseif size then
        -- Cutting costs as much as keeping, so not every message pays for it.
        call('LTRIM', log, size, '-1')
      end
      local text = string.format('%d', offset)
      call('PUBLISH', args[a], epoch .. ':' .. text .. ' ' .. envelope)
      if id then
        call('HSET', ids, id, epoch .. ':' .. text)
        -- After a flush the hash is made here, without the field and the end that ids.lua gives it.
        if call('HLEN', ids) == 1 then call('PEXPIRE', ids, '720000') end
      end
      if logTTL and logTTL ~= '' then
        call('PEXPIRE', log, logTTL)
        if metaTTL ~= '' then call('PEXPIRE', meta, metaTTL) end
      end
      reply = epoch == known and offset or epoch .. ':' .. text
    else
      -- The log has another type: the offset that was counted is not used.
      if length ~= offset then call('HINCRBY', meta, epoch, '-1') end
      reply = length
    end
  end

  if n == 0 then
    -- An error of the first message that is not about its keys holds for all.
    if #args == 4 or (type(reply) == 'table' and reply.err and not string.find(reply.err, 'WRONGTYPE', 1, true)) then return reply end
    replies = {}
  end
  n = n + 1
  replies[n] = reply
end
return replies
