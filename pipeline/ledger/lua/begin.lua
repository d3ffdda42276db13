-- Begin a generation: the opening of a batch (generation 0) or the next one after a reduce, by compare-and-set.
-- ARGV  1 owner  2 generation  3 tasks  4 items  5 deadline (seconds from now)  6 delay before the first release
--       7 duty lease  8 failures that run again  9 calls a task  10 '1' when no failure of it runs again by itself
--       11 failures tolerated ('' for any number)
-- Returns {verdict, task to release ...}: running | paused | reducing (nothing to run) | lost (the claim or lease is
--         another's)
local state, owner, generation, cancelled, outcome, redrive, paused, epoch =
  get('state', 'owner', 'generation', 'cancel', 'outcome', 'redrive', 'paused', 'epoch')
local first = ARGV[2] == '0'
if owner ~= ARGV[1] then return {'lost'} end
if first and state ~= 'opening' then return {'lost'} end
-- A cancel that came while the next generation was made ready: the reduce is due again, and ends the batch.
if not first and (state ~= 'reducing' or tonumber(generation) ~= ARGV[2] - 1 or outcome ~= 'done') then return {'lost'} end
local tasks, segments = tonumber(ARGV[3]), call('HGET', LEDGER, 'segments')
start_generation(tasks)
if first then
  call('HSET', LEDGER, 'batch_size', ARGV[4], 'started', now)
else
  -- A Redis with an older memory may begin the same generation once more, with other items: nothing that is remembered
  -- of the first one, or still under way, is this one's.
  call('HSET', LEDGER, 'segments_' .. generation, segments, 'epoch_' .. generation, epoch,
    'epoch', string.format('%x', math.max(now, tonumber(epoch, 16) + 1)))
  -- Not the negated number: where it is 0 some versions of Redis are told '-0', which is no integer to them.
  call('HINCRBY', LEDGER, 'failed', 0 - ARGV[8])
  call('HINCRBY', LEDGER, 'retried', ARGV[8])
  for _, kind in ipairs(call('HKEYS', FAILURES)) do
    local given_up, retryable, again, at, example = failure_counts(call('HGET', FAILURES, kind))
    local stay = redrive and 0 or given_up
    keep_failures(kind, stay, 0, again + retryable + given_up - stay, at, example)
  end
end
if first or redrive then
  -- What is counted over time is that of one run.
  call('DEL', SERIES)
  call('HDEL', LEDGER, 'slot_width')
  local succeeded, failed = get('succeeded', 'failed')
  call('HSET', LEDGER, 'base', ARGV[2], 'deadline_at', now + ARGV[5] * 1000000, 'run_at', now,
    'run_settled', succeeded + failed, 'given_up', 0)
  call('HDEL', LEDGER, 'redrive', 'reason')
end
if ARGV[11] ~= '' then call('HSET', LEDGER, 'tolerated', ARGV[11]) end
call('HSET', LEDGER, 'generation', ARGV[2], 'state', paused and 'paused' or 'running', 'items', ARGV[4],
  'not_before', now + ARGV[6], 'calls', ARGV[9], 'final', ARGV[10])
call('SET', REMAINING, tasks)
local reply = {paused and 'paused' or 'running'}
if cancelled then start_closing('cancelled', 'cancelled before it was opened') end
if tasks == 0 or cancelled then
  start_reduce(tonumber(ARGV[7]))
  reply = {'reducing'}
elseif not paused then
  if tonumber(ARGV[6]) == 0 then release_next(reply, tasks) end
  -- A first window has no settle behind it that would heal it: due until its releases are confirmed.
  if #reply > 1 then call('ZADD', DUE, now + ARGV[7], 'w') end
end
keep()
return reply
