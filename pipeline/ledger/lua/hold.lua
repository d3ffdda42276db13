-- Pause a batch, or let it go on. Paused, it releases nothing, and what is in flight settles; an opening, or a next
-- generation that is being made ready, is paused once it begins.
-- ARGV  1 '1' pauses, '0' resumes
-- Returns the state before, '' when there is no such batch
local state = get('state')
if not state then return '' end
if has_ended(state) or state == 'closing' or state == 'deleting' then return state end
if ARGV[1] == '1' then
  call('HSET', LEDGER, 'paused', 1)
  if state == 'running' then call('HSET', LEDGER, 'state', 'paused') end
else
  call('HDEL', LEDGER, 'paused')
  if state == 'paused' then call('HSET', LEDGER, 'state', 'running') end
end
keep()
return state
