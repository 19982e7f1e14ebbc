-- Reads the position of a room. A room without a counter is at offset 0 of an epoch that is never used again; for a caller
-- that stays there it gets a counter in that epoch.
-- KEYS  1 meta  2 log
-- ARGV  1 life of the counter, ms, for a caller that stays; 0: nothing is written  2 whether to refresh it: 0 or 1
--       3 key of the leader epoch, or empty
-- Reply EPOCH:OFFSET
local epoch = redis.call('HGET', KEYS[1], 'epoch')
local offset = epoch and redis.call('HGET', KEYS[1], epoch)
if not offset then
  local t = redis.call('TIME')
  epoch, offset = string.format('%x', t[1] * 1000000 + t[2]), '0'
  if ARGV[1] ~= '0' then
    redis.call('DEL', KEYS[1], KEYS[2])
    redis.call('HSET', KEYS[1], 'epoch', epoch, epoch, 0, 'graced', 1)
    local leader = ARGV[3] ~= '' and redis.call('GET', ARGV[3])
    if leader then redis.call('HSET', KEYS[1], 'leader_epoch', leader) end
    redis.call('PEXPIRE', KEYS[1], ARGV[1])
  end
elseif ARGV[1] ~= '0' and (ARGV[2] == '1' or offset == '0') then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return epoch .. ':' .. offset
