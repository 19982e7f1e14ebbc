-- Keeps the ids of messages within their bounds. They stand in two hashes, a new one and an old one: when the new one is full,
-- or as old as an id must be remembered, it takes the place of the old one, which is forgotten. So the oldest go first, at the
-- cost of one RENAME, and no id needs a key, an expiry, or a list of its own.
-- KEYS  1 new  2 old
-- ARGV  1 ids that the new one may hold  2 life of a hash, ms  3 how long an id must be remembered, ms
-- Reply the number of ids that were forgotten before that time, or 0: at most so many, for the old one is as old as its newest
local life = redis.call('PTTL', KEYS[1])
if life == -1 then
  -- Nothing makes one without an end; one that has none all the same must not stay.
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  life = tonumber(ARGV[2])
end
local age = tonumber(ARGV[2]) - life
local isFull = redis.call('HLEN', KEYS[1]) - 1 >= tonumber(ARGV[1])
local forgotten = 0
if life ~= -2 then
  if not isFull and age < tonumber(ARGV[3]) then return 0 end
  if age < tonumber(ARGV[3]) then forgotten = math.max(0, redis.call('HLEN', KEYS[2]) - 1) end
  redis.call('UNLINK', KEYS[2])
  redis.call('RENAME', KEYS[1], KEYS[2])
end
-- A field that no id has, so that the key is there and has its end before the first id comes.
redis.call('HSET', KEYS[1], '', '')
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return forgotten
