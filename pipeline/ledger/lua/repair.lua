-- The sweep of one batch: take over what is overdue, find what is lost, keep the deadline.
-- @arg silence         us     after which a message that a worker took must have been answered
-- @arg worker_retries  us     for which the queue-worker may repeat a direct call, which lengthens that silence
-- @arg quickest        us     after which a queue that usually answers sooner is in doubt
-- @arg duty_lease      us     after which others may take over what this hands out
-- @arg opening_lease   us     of a claim
-- @arg patience        us     before missing objects are looked for once more
-- @arg longest_backoff us     before a task that failed is released again
-- @arg losses_allowed  int    of a task
-- @arg most_releases   int    in one sweep
-- @arg ttl             seconds  that the keys of an open batch live on at least
-- @arg shortest        us     between two sweeps
-- @reply state         text   'gone' without a ledger, '' when another replica has just swept the batch: then the reply
--                             ends after `waiting`
-- @reply notify        ints   targets that are due to be notified of the end
-- @reply waiting       flag   1 while a target is still to be notified
-- @reply generation    int
-- @reply function      text
-- @reply epoch         text
-- @reply open          flag   1: the opening is overdue
-- @reply reduce        flag   1: the reduce is overdue
-- @reply delete        flag   1: the deletion is overdue
-- @reply segments      ints   to write
-- @reply release       pairs  task and attempt, to release again
-- @reply exhausted     ints   tasks that were lost too often
-- @reply ended         text   '' before the end
-- @reply lost          int    of those to release, the lost ones
-- @reply missing       text   objects to look for
local state, generation, model_function, swept_at, epoch = get('state', 'generation', 'function', 'swept_at', 'epoch')
if not state then return {'gone', due_notices()} end
if swept_at and tonumber(swept_at) <= now and now - swept_at < tonumber(shortest) then return {'', {}, 0} end
silence, most_releases = tonumber(silence), tonumber(most_releases)

-- Redis' clock may have been set back, or a failover may have led to a node whose clock is behind. Then what has been
-- is now, in the same order as before, and what is due later than it can be is due now.
local function correct_times()
  local first_at, not_before, run_at, deadline_at = get('first_at', 'not_before', 'run_at', 'deadline_at')
  local function is_to_come(at) return tonumber(at or 0) > now end
  if is_to_come(first_at) then
    call('HSET', LEDGER, 'first_at', now, 'not_before', not_before - first_at + now)
  end
  if is_to_come(run_at) then call('HSET', LEDGER, 'run_at', now, 'deadline_at', deadline_at - run_at + now) end
  for _, field in ipairs({'heard', 'heard_at', 'mark', 'mark_at', 'probed_at', 'doubt_at', 'proven_at', 'closing_at'}) do
    if is_to_come(get(field)) then call('HSET', LEDGER, field, now) end
  end
  local after_now = string.format('(%d', now)
  for _, task in ipairs(call('ZRANGEBYSCORE', INFLIGHT, after_now, '+inf')) do call('ZADD', INFLIGHT, now, task) end
  local longest = {t = tonumber(longest_backoff), l = silence, o = tonumber(opening_lease), m = tonumber(patience)}
  local later = call('ZRANGEBYSCORE', DUE, after_now, '+inf', 'WITHSCORES')
  for place = 1, #later, 2 do
    local kind = string.sub(later[place], 1, 1)
    if kind ~= 'n' and later[place + 1] - now > (longest[kind] or tonumber(duty_lease)) then
      call('ZADD', DUE, now, later[place])
    end
  end
end
correct_times()

call('HSET', LEDGER, 'swept_at', now)
-- Only while tasks run: an opening or a reduce that never succeeds does not live for ever.
if accepts_answers(state) then
  call('HSET', LEDGER, 'expire_at', math.max(tonumber(call('HGET', LEDGER, 'expire_at')), expire_in(ttl)))
end

local heard, heard_at, mark, mark_at, probed_at, deadline_at, not_before, first_at, closing_at, pending
  = get('heard', 'heard_at', 'mark', 'mark_at', 'probed_at', 'deadline_at', 'not_before', 'first_at', 'closing_at',
    'pending')
if (state == 'running' or state == 'paused') and now > tonumber(deadline_at) then
  start_closing('failed', 'the deadline passed before every item had run')
  state, closing_at = 'closing', now
end

local PROBES, DIRECT_SILENT, MOST_IN_DOUBT = 4, 16, 1000
local released, exhausted, lost = {}, {}, 0
local function release(task)
  call('ZADD', INFLIGHT, now, task)
  released[#released + 1] = {task, tonumber(call('HGET', ATTEMPTS, task) or 0)}
end
local function is_settled(task)
  if call('GETBIT', SETTLED, task) == 0 then return false end
  drop_task(task)
  return true
end
local function declare_lost(task)
  if is_settled(task) or is_leased((call('HGET', ATTEMPTS, 'x:' .. task) or 0) + silence, silence) then return end
  if call('HINCRBY', ATTEMPTS, 'l:' .. task, 1) > tonumber(losses_allowed) then
    exhausted[#exhausted + 1] = tonumber(task)
  else
    call('HINCRBY', ATTEMPTS, task, 1)
    call('HINCRBY', LEDGER, 'retried', 1)
    lost = lost + 1
    release(task)
  end
end

-- A batch that is closing waits for no repeated call.
local closing_silence, is_direct = silence, get('direct') == '1'
if is_direct then silence = silence + worker_retries end

-- Tasks that were released before a time and that no replica is known to run, the oldest first.
local function tasks_without_run(before)
  local tasks = {}
  for _, task in ipairs(call('ZRANGEBYSCORE', INFLIGHT, '-inf', before, 'LIMIT', 0, MOST_IN_DOUBT)) do
    if not is_leased(call('HGET', ATTEMPTS, 'r:' .. task), silence) then tasks[#tasks + 1] = task end
  end
  return tasks
end
-- The queue is in doubt when it refused a release, or when no answer comes for longer than usual. Then some tasks are
-- released again. Once a task that was released later is answered, the queue has delivered all that it still had: what
-- is silent then is lost.
local function look_for_losses_of_the_queue()
  local delay, doubt_at, proven_at, probes = get('delay', 'doubt_at', 'proven_at', 'probes')
  local usual = delay and math.max(tonumber(quickest), 2 * delay) or silence
  if usual >= silence or (is_direct and tonumber(worker_retries) > 0) then return end
  -- A direct call leaves no lease: a few silent ones may be slow, many are not.
  local least = is_direct and DIRECT_SILENT or 1
  if not doubt_at and now - heard_at >= usual and tasks_without_run(now - usual)[least] then
    doubt_at = now
    call('HSET', LEDGER, 'doubt_at', doubt_at)
  end
  if not doubt_at then return end
  if tonumber(heard) <= tonumber(doubt_at) then
    -- A task that was released since serves as the first probe. A queue that is full refuses and loses nothing, so that
    -- the pauses grow.
    local is_first = not probes and call('ZCOUNT', INFLIGHT, '(' .. doubt_at, '+inf') == 0
    if not is_first and now - probed_at < math.min(silence, usual * 2 ^ (probes or 0)) then return end
    -- Earlier probes are in doubt as well, those of this script are not.
    call('HSET', LEDGER, 'probed_at', now, 'doubt_at', now - 1)
    call('HINCRBY', LEDGER, 'probes', 1)
    probed_at = now
    for place, task in ipairs(tasks_without_run(now)) do
      if place > PROBES then break end
      call('HINCRBY', ATTEMPTS, task, 1)
      lost = lost + 1
      release(task)
    end
  elseif not proven_at then
    call('HSET', LEDGER, 'proven_at', now)
  elseif now - proven_at >= usual then
    -- A lease says nothing here: the run may have ended, and its callback be lost.
    for _, task in ipairs(call('ZRANGEBYSCORE', INFLIGHT, '-inf', '(' .. doubt_at, 'LIMIT', 0, most_releases)) do
      declare_lost(task)
    end
    if #released < most_releases then call('HDEL', LEDGER, 'doubt_at', 'proven_at', 'probes') end
  end
end

if state == 'running' then
  look_for_losses_of_the_queue()
  -- Lost by evidence: released before a task that was answered one silence ago, and silent since.
  if now - mark_at >= silence then
    for _, task in ipairs(call('ZRANGEBYSCORE', INFLIGHT, '-inf', '(' .. mark, 'LIMIT', 0, most_releases)) do
      declare_lost(task)
    end
    if #released < most_releases then call('HSET', LEDGER, 'mark', heard, 'mark_at', now) end
  end
  -- Nothing at all answers: one task is released again, to see whether the queue still delivers.
  if now - heard_at >= silence and now - probed_at >= silence then
    local oldest = call('ZRANGEBYSCORE', INFLIGHT, '-inf', now - silence, 'LIMIT', 0, 1)[1]
    call('HSET', LEDGER, 'probed_at', now)
    if oldest then
      call('HINCRBY', ATTEMPTS, oldest, 1)
      lost = lost + 1
      release(oldest)
    end
  end
  -- A message came twice while its task ran, and the run did not settle: its replica died.
  for _, duty in ipairs(call('ZRANGEBYSCORE', DUE, '-inf', now)) do
    if #released >= most_releases then break end
    if string.sub(duty, 1, 2) == 'l:' then
      call('ZREM', DUE, duty)
      local task = string.sub(duty, 3)
      if call('ZSCORE', INFLIGHT, task) then declare_lost(task) end
    end
  end
  local window_at = tonumber(call('ZSCORE', DUE, 'w') or now + 1)
  if window_at <= now then
    call('ZREM', DUE, 'w')
    -- The next attempt, so that an answer to the first says nothing about how far the queue has come.
    for _, task in ipairs(call('ZRANGEBYSCORE', INFLIGHT, '-inf', first_at)) do
      call('HINCRBY', ATTEMPTS, task, 1)
      call('ZREM', INFLIGHT, task)
      call('ZADD', DUE, now, 't:' .. task)
    end
  end
  -- Tasks that were refused or failed run again; a few over the window, so that new tasks cannot crowd them out.
  local ahead, may_release = rate_limiter()
  local busy, room = call('ZCARD', INFLIGHT), math.min(tonumber(call('HGET', LEDGER, 'window')), ahead) + 4
  for _, duty in ipairs(call('ZRANGEBYSCORE', DUE, '-inf', now)) do
    if #released >= most_releases or busy >= room then break end
    if string.sub(duty, 1, 2) == 't:' then
      local task = string.sub(duty, 3)
      if not is_settled(task) then
        if not may_release() then break end
        call('ZREM', DUE, duty)
        if not call('ZSCORE', INFLIGHT, task) then busy = busy + 1 end
        release(task)
      end
    end
  end
  if now >= tonumber(not_before) then
    local fresh = {}
    fill_window(fresh, most_releases - #released)
    for _, task in ipairs(fresh) do released[#released + 1] = {task, 0} end
  end
elseif state == 'closing' and (call('ZCARD', INFLIGHT) == 0 or now - closing_at >= closing_silence) then
  if tonumber(pending) > 0 then cut_segment(0) end
  start_reduce(0)
  state = 'reducing'
end

local open, reduce, delete, segments, missing = 0, 0, 0, {}, ''
for _, duty in ipairs(call('ZRANGEBYSCORE', DUE, '-inf', now)) do
  local kind = string.sub(duty, 1, 1)
  if not string.find('tlwn', kind, 1, true) then
    call('ZADD', DUE, now + duty_lease, duty)
    if kind == 'o' and state == 'opening' then open = 1 end
    if kind == 'r' and state == 'reducing' then reduce = 1 end
    if kind == 'd' then delete = 1 end
    if kind == 'm' then missing = get('missing') or '' end
    if kind == 's' then segments[#segments + 1] = tonumber(string.sub(duty, 3)) end
  end
end
set_expiry()
-- Not leased here: `start_delivery` leases each attempt.
local notify, waiting = {}, 0
if has_ended(state) then notify, waiting = due_notices() end
return {state, notify, waiting, generation, model_function or '', epoch, open, reduce, delete, segments, released,
  exhausted, get('ended') or '', lost, missing}
