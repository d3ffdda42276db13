-- The outputs are published: the batch ends as its outcome says.
-- @arg owner       text   who holds the lease of the reduce
-- @arg generation  int
-- @arg expire_at   unix   when the keys of the batch expire
-- @arg succeeded   int    items in the summary
-- @arg failed      int    items in the summary
-- @arg outputs     json   names of the outputs beside the summary
-- @arg notes       json   notes on the outputs
-- @arg sql         json?  the answer of the query
-- @reply state     text   in which it ended, also when called again; '' when another holds the lease
local state, current_generation, current_owner, outcome, tasks = get('state', 'generation', 'owner', 'outcome', 'tasks')
if has_ended(state) and current_generation == generation then return state end
if state ~= 'reducing' or current_generation ~= generation or current_owner ~= owner then return '' end
-- The counts of the summary replace the ledger's: items that were to run again and did not have failed after all.
call('HSET', LEDGER, 'state', outcome, 'ended', now, 'succeeded', succeeded, 'failed', failed, 'expire_at', expire_at,
  'owner', '', 'settled', tasks - (call('GET', REMAINING) or 0), 'outputs', outputs, 'notes', notes, 'sql', sql)
call('HDEL', LEDGER, 'redrive', 'trouble', 'begun', 'excused')
call('DEL', SETTLED, OUTCOMES, INFLIGHT, DUE, REMAINING, ATTEMPTS)
start_notices()
set_expiry()
return outcome
