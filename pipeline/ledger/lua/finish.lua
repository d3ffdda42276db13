-- The summary is published: the batch ends as its outcome says.
-- ARGV  1 owner  2 generation  3 expire_at  4 succeeded and  5 failed in the summary  6 names of its other outputs and
--       7 what is to be said of them, as JSON  8 what its query gave, as JSON, '' for none
-- Returns the state it ended in, or '' when the lease is another's; the same to who asks again because the answer was lost
local state, generation, owner, outcome, tasks = get('state', 'generation', 'owner', 'outcome', 'tasks')
if has_ended(state) and generation == ARGV[2] then return state end
if state ~= 'reducing' or generation ~= ARGV[2] or owner ~= ARGV[1] then return '' end
-- What was counted back to run again, and then did not, has failed after all; the summary has the last word.
call('HSET', LEDGER, 'state', outcome, 'ended', now, 'succeeded', ARGV[4], 'failed', ARGV[5], 'expire_at', ARGV[3], 'owner', '',
  'settled', tasks - (call('GET', REMAINING) or 0), 'outputs', ARGV[6], 'notes', ARGV[7], 'sql', ARGV[8])
call('HDEL', LEDGER, 'redrive', 'trouble', 'begun', 'excused')
call('DEL', SETTLED, OUTCOMES, INFLIGHT, DUE, REMAINING, ATTEMPTS)
start_notices()
keep()
return outcome
