-- Pause a batch, or resume it. A paused batch releases nothing, and what is in flight settles. A batch that is being
-- opened, or whose next generation is being prepared, is paused once it begins.
-- @arg pause    flag  1 pauses, 0 resumes
-- @reply state  text  before, '' without a ledger
local state = get('state')
if not state then return '' end
if has_ended(state) or state == 'closing' or state == 'deleting' then return state end
if pause == '1' then
  call('HSET', LEDGER, 'paused', 1)
  if state == 'running' then call('HSET', LEDGER, 'state', 'paused') end
else
  call('HDEL', LEDGER, 'paused')
  if state == 'paused' then call('HSET', LEDGER, 'state', 'running') end
end
set_expiry()
return state
