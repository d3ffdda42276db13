-- Take an ended batch, or one that Redis has forgotten, to be deleted, or renew that: nothing else is done with it from
-- now on. One owner deletes at a time, since an id that is free again may be another batch's.
-- ARGV  1 owner  2 lease  3 expire_at  4 '1' only goes on with a deletion
-- Returns {verdict, state before ('' for no such batch)}: leased | held (another deletes it) | open (it has not ended)
--         | gone (there is nothing to go on with)
local state, owner, lease_until = get('state', 'owner', 'lease_until')
if state == 'deleting' then
  if owner ~= ARGV[1] and tonumber(lease_until) > now then return {'held', state} end
elseif ARGV[4] == '1' then
  return {'gone', state or ''}
elseif state and not has_ended(state) then
  return {'open', state}
end
-- What the other scripts take for granted.
if not state then
  call('HSET', LEDGER, 'schema', 1, 'epoch', string.format('%x', now), 'function', '', 'generation', 0)
end
call('HSET', LEDGER, 'state', 'deleting', 'owner', ARGV[1], 'lease_until', now + ARGV[2], 'expire_at', ARGV[3])
drop_notices()
call('ZADD', DUE, now + ARGV[2], 'd')
keep()
return {'leased', state or ''}
