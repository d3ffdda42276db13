-- Give up an opening that cannot succeed.
-- @arg owner        text?  none: a queued opening, which may give up a claim that has expired or was handed on
-- @arg reason       text?  why the batch fails; none: the ledger is deleted, so that the id is free again
-- @arg claim_lease  us
-- @reply given_up   flag   1 when the claim was the caller's to give up
local state, current_owner, lease_until, handed, cancelled = get('state', 'owner', 'lease_until', 'handed', 'cancel')
if state ~= 'opening' then return 0 end
if current_owner ~= owner and (owner ~= '' or (is_leased(lease_until, claim_lease) and handed ~= '1')) then return 0 end
if reason == '' then
  call('DEL', unpack(KEYS))
else
  call('HSET', LEDGER, 'state', cancelled and 'cancelled' or 'failed', 'reason', reason, 'ended', now)
  call('HDEL', LEDGER, 'trouble', 'missing')
  call('DEL', DUE)
  start_notices()
  set_expiry()
end
return 1
