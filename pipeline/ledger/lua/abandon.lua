-- Give up an opening that cannot succeed.
-- ARGV  1 owner ('' for a queued opening, which may give up an expired claim, or one that was handed on)
--       2 reason ('' forgets the batch, so that the id is free again)
-- Returns 1 when the claim was ours to give up, else 0
local state, owner, lease_until, handed, cancelled = get('state', 'owner', 'lease_until', 'handed', 'cancel')
if state ~= 'opening' then return 0 end
if owner ~= ARGV[1] and (ARGV[1] ~= '' or (tonumber(lease_until) > now and handed ~= '1')) then return 0 end
if ARGV[2] == '' then
  call('DEL', unpack(KEYS))
else
  call('HSET', LEDGER, 'state', cancelled and 'cancelled' or 'failed', 'reason', ARGV[2], 'ended', now)
  call('HDEL', LEDGER, 'trouble')
  call('DEL', DUE)
  start_notices()
  keep()
end
return 1
