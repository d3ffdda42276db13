-- Lease the deletion of a batch that has ended, or that Redis has lost; or renew the lease. Nothing else happens to the
-- batch from then on. One owner deletes at a time: once the id is free it may be another batch's.
-- @arg owner         text
-- @arg delete_lease  us
-- @arg ttl           seconds  that the keys of the batch live on
-- @arg go_on         flag  1: only go on with a deletion that has begun
-- @arg renewal       flag  1: only renew the lease, which takes none over
-- @reply verdict     text  leased | held (another deletes it) | open (it has not ended) | gone (no deletion has begun)
-- @reply state       text  before, '' without a ledger
local state, current_owner, lease_until = get('state', 'owner', 'lease_until')
if state == 'deleting' then
  local is_held = renewal == '1' or is_leased(lease_until, delete_lease)
  if current_owner ~= owner and is_held then return {'held', state} end
elseif go_on == '1' or renewal == '1' then
  return {'gone', state or ''}
elseif state and not has_ended(state) then
  return {'open', state}
end
-- Fields that the other scripts expect in every ledger.
if not state then
  call('HSET', LEDGER, 'schema', 1, 'epoch', string.format('%x', now), 'function', '', 'generation', 0)
end
call('HSET', LEDGER, 'state', 'deleting', 'owner', owner, 'lease_until', now + delete_lease,
  'expire_at', expire_in(ttl))
drop_notices()
call('ZADD', DUE, now + delete_lease, 'd')
set_expiry()
return {'leased', state or ''}
