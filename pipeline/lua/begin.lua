-- Begin a generation: the opening of a batch (generation 0) or the next one after a reduce, by compare-and-set.
-- ARGV  1 owner  2 generation  3 tasks  4 items  5 deadline (seconds from now)  6 delay before the first release
--       7 duty lease  8 failures that run again
-- Returns {verdict, task to release ...}: running | reducing (nothing to run) | lost (the claim or lease is another's)
local state, owner, generation, cancelled, outcome = get('state', 'owner', 'generation', 'cancel', 'outcome')
local first = ARGV[2] == '0'
if owner ~= ARGV[1] then return {'lost'} end
if first and state ~= 'opening' then return {'lost'} end
-- A cancel that came while the next generation was made ready: the reduce is due again, and ends the batch.
if not first and (state ~= 'reducing' or tonumber(generation) ~= ARGV[2] - 1 or outcome ~= 'done') then return {'lost'} end
local tasks, segments = tonumber(ARGV[3]), call('HGET', LEDGER, 'segments')
call('DEL', SETTLED, OUTCOMES, INFLIGHT, DUE, REMAINING, ATTEMPTS)
if first then
  call('HSET', LEDGER, 'batch_size', ARGV[4], 'started', now, 'deadline_at', now + ARGV[5] * 1000000)
else
  call('HSET', LEDGER, 'segments_' .. generation, segments)
  call('HINCRBY', LEDGER, 'failed', -ARGV[8])
  call('HINCRBY', LEDGER, 'retried', ARGV[8])
end
call('HSET', LEDGER, 'generation', ARGV[2], 'state', 'running', 'tasks', tasks, 'items', ARGV[4], 'next', 0,
  'segments', 0, 'bytes', 0, 'pending', 0, 'not_found', 0, 'heard', 0, 'heard_at', now, 'mark', 0, 'mark_at', now,
  'probed_at', now, 'not_before', now + ARGV[6], 'first_at', now, 'owner', '')
call('HDEL', LEDGER, 'trouble')
call('SET', REMAINING, tasks)
local reply = {'running'}
if cancelled then start_closing('cancelled', 'cancelled before it was opened') end
if tasks == 0 or cancelled then
  start_reduce(tonumber(ARGV[7]))
  reply = {'reducing'}
else
  call('SETBIT', SETTLED, tasks - 1, 0)
  if tonumber(ARGV[6]) == 0 then release_next(reply, tasks) end
  -- A first window has no settle behind it that would heal it: due until its releases are confirmed.
  if #reply > 1 then call('ZADD', DUE, now + ARGV[7], 'w') end
end
keep()
return reply
