-- Removes one chunk of a node's members from a room. A connection is removed once, so user_left is said once,
-- however many sweepers are at work.
-- KEYS  1 members  2 users
-- ARGV  1 node  2 channel  3 scan cursor  4 chunk  5 term
-- Reply the next cursor, 0 at the end
local scan = redis.call('HSCAN', KEYS[1], ARGV[3], 'COUNT', ARGV[4])
local ms
for i = 1, #scan[2], 2 do
  local name = scan[2][i]
  if string.match(name, '^(.*)%-[^%-]*$') == ARGV[1] and redis.call('HDEL', KEYS[1], name) == 1 then
    local known, member = pcall(cjson.decode, scan[2][i + 1])
    local user = known and type(member) == 'table' and member.user
    if type(user) == 'string' and redis.call('HINCRBY', KEYS[2], user, -1) <= 0 then
      redis.call('HDEL', KEYS[2], user)
      if not ms then
        local t = redis.call('TIME')
        ms = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
      end
      -- The encoder escapes the slash, which JSON allows and no other writer here does.
      local json = string.gsub(cjson.encode(user), '\\/', '/')
      redis.call('PUBLISH', ARGV[2], '-' .. ARGV[5] .. ' l ' .. ms .. ' ' .. name .. ' ' .. json .. '\n')
    end
  end
end
return scan[1]
