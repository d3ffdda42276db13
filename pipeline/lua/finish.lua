-- The summary is published: the batch ends as its outcome says.
-- ARGV  1 owner  2 generation  3 expire_at
-- Returns the state it ended in, or '' when the lease is another's
local state, generation, owner, outcome, tasks = get('state', 'generation', 'owner', 'outcome', 'tasks')
if state ~= 'reducing' or generation ~= ARGV[2] or owner ~= ARGV[1] then return '' end
call('HSET', LEDGER, 'state', outcome, 'ended', now, 'expire_at', ARGV[3], 'owner', '',
  'settled', tasks - (call('GET', REMAINING) or 0))
call('HDEL', LEDGER, 'upload', 'upload_key')
call('DEL', SETTLED, OUTCOMES, INFLIGHT, DUE, REMAINING, ATTEMPTS)
keep()
return outcome
