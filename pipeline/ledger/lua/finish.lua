-- The outputs are published: the batch ends as they say. Its owner stays, so that a repeated call has the same reply.
-- @arg owner       text   who holds the lease of the reduce
-- @arg generation  int
-- @arg outcome     text   state of the batch in the outputs
-- @arg ttl         seconds  that the keys of the batch live on
-- @arg succeeded   int    items in the summary
-- @arg failed      int    items in the summary
-- @arg outputs     json   names of the outputs beside the summary
-- @arg notes       json   notes on the outputs
-- @arg sql         json?  the answer of the query
-- @reply state     text   in which it ended, also when called again; '' when the lease is lost
--                         | reducing (cancelled meanwhile: the outputs are to be written again)
local state, current_generation, current_owner, current_outcome, tasks =
  get('state', 'generation', 'owner', 'outcome', 'tasks')
if not state or current_generation ~= generation or current_owner ~= owner then return '' end
if has_ended(state) then return state end
if state ~= 'reducing' then return '' end
if current_outcome ~= outcome then
  call('HSET', LEDGER, 'owner', '', 'lease_until', 0)
  call('ZADD', DUE, now, 'r')
  return state
end
-- The counts of the summary replace the ledger's: items that were to run again and did not have failed after all.
call('HSET', LEDGER, 'state', outcome, 'ended', now, 'succeeded', succeeded, 'failed', failed, 'expire_at', expire_in(ttl),
  'settled', tasks - (call('GET', REMAINING) or 0), 'outputs', outputs, 'notes', notes, 'sql', sql)
call('HDEL', LEDGER, 'redrive', 'trouble', 'missing', 'begun', 'excused')
call('DEL', SETTLED, OUTCOMES, INFLIGHT, DUE, REMAINING, ATTEMPTS)
start_notices()
set_expiry()
return outcome
