-- Take, or renew, the lease of a batch's reduce.
-- ARGV  1 owner  2 generation  3 lease
-- Returns {verdict, how many reduces of this generation have begun, segment to write ...}:
--         leased | held | closed | unknown
local state, generation, owner, lease_until = get('state', 'generation', 'owner', 'lease_until')
if not state then return {'unknown', 0} end
if state ~= 'reducing' or generation ~= ARGV[2] then return {'closed', 0} end
if owner ~= ARGV[1] and owner ~= '' and tonumber(lease_until) > now then return {'held', 0} end
if owner ~= ARGV[1] then call('HINCRBY', LEDGER, 'begun', 1) end
call('HSET', LEDGER, 'owner', ARGV[1], 'lease_until', now + ARGV[3])
call('ZADD', DUE, now + ARGV[3], 'r')
local reply = {'leased', tonumber(get('begun') or 1)}
for _, duty in ipairs(call('ZRANGE', DUE, 0, -1)) do
  if string.sub(duty, 1, 2) == 's:' then reply[#reply + 1] = tonumber(string.sub(duty, 3)) end
end
keep()
return reply
