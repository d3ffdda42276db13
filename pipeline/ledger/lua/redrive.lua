-- Run the failed items of an ended batch again: its reduce is due once more, and begins the next generation.
-- @arg duty_lease    us     after which others may take over the reduce
-- @arg ended         text?  only the end at this time is meant; none: any end
-- @reply state       text   before, '' without a ledger
-- @reply generation  int
-- @reply verdict     text   redriven | under way (redriven before) | open (it has not ended, or is being stopped)
--                           | unopened (it never began) | unknown (no ledger)
local state, generation, redrive, base, started, current_ended, outcome =
  get('state', 'generation', 'redrive', 'base', 'started', 'ended', 'outcome')
if not state then return {'', '0', 'unknown'} end
if not has_ended(state) or (ended ~= '' and ended ~= current_ended) then
  local redriven = state ~= 'deleting' and outcome == 'done' and (redrive or (base or '0') ~= '0')
  return {state, generation, redriven and 'under way' or 'open'}
end
if not started then return {state, generation, 'unopened'} end
local expire_at = get('expire_at')
call('HSET', LEDGER, 'state', 'reducing', 'outcome', 'done', 'redrive', 1, 'owner', '', 'lease_until', 0,
  'expire_at', expire_at + math.max(0, math.ceil((now - current_ended) / 1000000)))
call('HDEL', LEDGER, 'trouble', 'ended', 'cancel', 'paused', 'outputs', 'notes', 'sql')
call('HINCRBY', LEDGER, 'redrives', 1)
drop_notices()
call('ZADD', DUE, now + duty_lease, 'r')
set_expiry()
return {state, generation, 'redriven'}
