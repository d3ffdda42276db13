-- Take the lease of a batch's reduce, or renew it. A run takes the lease once, and a renewal takes nothing: once another
-- run, a redrive or a new generation has replaced the owner, a run that stalled changes nothing any more.
-- @arg owner          text  names one run of the reduce
-- @arg generation     int
-- @arg renewal        flag  1: only renew the lease
-- @arg reduce_lease   us
-- @reply verdict      text  leased | held (by another) | lost (not the owner's any more)
--                           | closed (nothing to reduce) | unknown (no ledger)
-- @reply begun        int   how many reduces of this generation have begun
-- @reply ...segments  int   to write
local state, current_generation, current_owner, lease_until = get('state', 'generation', 'owner', 'lease_until')
if not state then return {'unknown', 0} end
if state ~= 'reducing' or current_generation ~= generation then return {'closed', 0} end
if current_owner ~= owner then
  if renewal == '1' then return {'lost', 0} end
  if current_owner ~= '' and is_leased(lease_until, reduce_lease) then return {'held', 0} end
  call('HINCRBY', LEDGER, 'begun', 1)
end
call('HSET', LEDGER, 'owner', owner, 'lease_until', now + reduce_lease)
call('ZADD', DUE, now + reduce_lease, 'r')
local reply = {'leased', tonumber(get('begun') or 1)}
for _, duty in ipairs(call('ZRANGE', DUE, 0, -1)) do
  if string.sub(duty, 1, 2) == 's:' then reply[#reply + 1] = tonumber(string.sub(duty, 3)) end
end
set_expiry()
return reply
