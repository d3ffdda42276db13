-- Give up an opening that cannot succeed.
-- ARGV  1 owner ('' for a queued opening, which may give up an expired claim)  2 reason ('' forgets the batch, so that the id is free again)
-- Returns 1 when the claim was still ours, else 0
local state, owner, lease_until = get('state', 'owner', 'lease_until')
if state ~= 'opening' then return 0 end
if owner ~= ARGV[1] and (ARGV[1] ~= '' or tonumber(lease_until) > now) then return 0 end
if ARGV[2] == '' then
  call('DEL', unpack(KEYS))
else
  call('HSET', LEDGER, 'state', 'failed', 'reason', ARGV[2], 'ended', now)
  call('DEL', DUE)
  keep()
end
return 1
