-- Remembers the deliveries of a hook, in two hashes: when the new one is full, or as old as a delivery must be remembered, it
-- takes the place of the old one, which is forgotten. So the oldest go first, and no delivery needs a key of its own.
-- KEYS  1 new  2 old
-- ARGV  1 the delivery's id  2 its position, or empty: only look  3 deliveries that the new one may hold
--       4 how long one must be remembered, ms
-- Reply the position of the first delivery with that id; nil when there is none
local known = redis.call('HGET', KEYS[1], ARGV[1]) or redis.call('HGET', KEYS[2], ARGV[1])
if known or ARGV[2] == '' then return known end
local life = redis.call('PTTL', KEYS[1])
if life >= 0 and (life <= tonumber(ARGV[4]) or redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3])) then
  redis.call('UNLINK', KEYS[2])
  redis.call('RENAME', KEYS[1], KEYS[2])
  life = -2
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
if life < 0 then redis.call('PEXPIRE', KEYS[1], 2 * ARGV[4]) end
return ARGV[2]
