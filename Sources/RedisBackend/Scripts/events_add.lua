-- Moves events from the queue of a room to the queue of the cluster.
-- KEYS  1 queue
-- ARGV  1 events at most  2 life of the queue, ms  then score and event of each; the event # counts what was dropped
-- Reply 1
local entries = {}
for i = 3, #ARGV, 2 do
  if ARGV[i + 1] == '#' then
    redis.call('ZINCRBY', KEYS[1], ARGV[i], '#')
  else
    entries[#entries + 1], entries[#entries + 2] = ARGV[i], ARGV[i + 1]
  end
end
if #entries > 0 then enqueue(KEYS[1], entries, tonumber(ARGV[1]), ARGV[2]) end
return 1
