-- Finds one chunk of a node's members in a room. Changes nothing: the node that sweeps reads what it finds, then removes it
-- by presence.lua.
-- KEYS  1 members
-- ARGV  1 node  2 scan cursor  3 chunk
-- Reply the next cursor, 0 at the end; then name and member of each connection of the node
local scan = redis.call('HSCAN', KEYS[1], ARGV[2], 'COUNT', ARGV[3])
local reply = { scan[1] }
for i = 1, #scan[2], 2 do
  if string.match(scan[2][i], '^(.*)%-[^%-]*$') == ARGV[1] then
    reply[#reply + 1] = scan[2][i]
    reply[#reply + 1] = scan[2][i + 1]
  end
end
return reply
