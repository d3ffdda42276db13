-- Begin a generation: the opening of a batch (generation 0), or the next generation after a reduce.
-- @arg owner         text     who holds the claim, or the lease of the reduce
-- @arg generation    int      the generation to begin
-- @arg tasks         int      its tasks
-- @arg items         int      its items
-- @arg deadline      seconds  from now; only where a run begins
-- @arg delay         us       before the first release
-- @arg duty_lease    us       after which others may take over what this hands out
-- @arg again         int      failures counted before whose items run again now
-- @arg calls         int      calls to the model function that a task makes
-- @arg final         flag     1: what fails in this generation does not run again by itself
-- @arg direct        flag     1: queue-workers call the model function themselves
-- @arg tolerated     int?     how many items may fail; none: any number
-- @reply verdict     text     running | paused | reducing (nothing to run) | lost (another holds the claim or lease)
-- @reply ...release  int      to release
local state, current_owner, previous, cancelled, outcome, redrive, paused, epoch =
  get('state', 'owner', 'generation', 'cancel', 'outcome', 'redrive', 'paused', 'epoch')
local first = generation == '0'
if current_owner ~= owner then return {'lost'} end
if first and state ~= 'opening' then return {'lost'} end
-- With another outcome the batch was cancelled meanwhile: the reduce is due again, and ends it.
if not first and (state ~= 'reducing' or tonumber(previous) ~= generation - 1 or outcome ~= 'done') then
  return {'lost'}
end
local segments = call('HGET', LEDGER, 'segments')
tasks = tonumber(tasks)
start_generation(tasks)
if first then
  call('HSET', LEDGER, 'batch_size', items, 'started', now)
else
  -- A Redis that came back with an older memory may begin the same generation again, with other items. The new epoch
  -- keeps apart what is stored of the first one, or still under way.
  call('HSET', LEDGER, 'segments_' .. previous, segments, 'epoch_' .. previous, epoch,
    'epoch', string.format('%x', math.max(now, tonumber(epoch, 16) + 1)))
  -- Not the negated number: some versions of Redis would receive '-0', which they refuse as an integer.
  call('HINCRBY', LEDGER, 'failed', 0 - again)
  call('HINCRBY', LEDGER, 'retried', again)
  for _, kind in ipairs(call('HKEYS', FAILURES)) do
    local given_up, retryable, retried, at, example = parse_failure(call('HGET', FAILURES, kind))
    local stay = redrive and 0 or given_up
    write_failure(kind, stay, 0, retried + retryable + given_up - stay, at, example)
  end
end
if first or redrive then
  -- Counters over time are those of one run.
  call('DEL', SERIES)
  call('HDEL', LEDGER, 'slot_width')
  local succeeded, failed = get('succeeded', 'failed')
  call('HSET', LEDGER, 'base', generation, 'deadline_at', now + deadline * 1000000, 'run_at', now,
    'run_settled', succeeded + failed, 'given_up', 0)
  call('HDEL', LEDGER, 'redrive', 'reason')
end
if tolerated ~= '' then call('HSET', LEDGER, 'tolerated', tolerated) end
call('HSET', LEDGER, 'generation', generation, 'state', paused and 'paused' or 'running', 'items', items,
  'not_before', now + delay, 'calls', calls, 'direct', direct, 'final', final)
call('SET', REMAINING, tasks)
local reply = {paused and 'paused' or 'running'}
if cancelled then start_closing('cancelled', 'cancelled before it was opened') end
if tasks == 0 or cancelled then
  start_reduce(tonumber(duty_lease))
  reply = {'reducing'}
elseif not paused then
  if tonumber(delay) == 0 then fill_window(reply, tasks) end
  -- No settle comes before a first window that would release it again: due until its releases are confirmed.
  if #reply > 1 then call('ZADD', DUE, now + duty_lease, 'w') end
end
set_expiry()
return reply
