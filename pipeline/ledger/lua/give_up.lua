-- Missing objects were looked for once more: they are there again, or the batch ends without them.
-- @arg objects   text   those that were noted
-- @arg gone      text?  those of them that are gone for good, separated by spaces
-- @arg reason    text?  why the batch fails; none: they are there again
-- @reply state   text   of the batch, '' when others are noted
local state, missing, lost, outcome = get('state', 'missing', 'lost', 'outcome')
if not state or missing ~= objects then return '' end
call('HDEL', LEDGER, 'missing')
call('ZREM', DUE, 'm')
if reason == '' then return state end
call('HSET', LEDGER, 'lost', (lost and lost .. ' ' or '') .. gone, 'reason', reason)
if state == 'opening' then
  call('ZADD', DUE, now, 'o')
elseif state == 'running' or state == 'paused' then
  start_closing('failed', reason)
  state = 'closing'
elseif outcome == 'done' then
  call('HSET', LEDGER, 'outcome', 'failed')
end
if state == 'reducing' then
  -- A reduce under way may still wait for them.
  call('HSET', LEDGER, 'owner', '', 'lease_until', 0)
  call('ZADD', DUE, now, 'r')
end
set_expiry()
return state
