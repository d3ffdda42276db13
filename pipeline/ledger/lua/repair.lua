-- The sweep of one batch: take over what is overdue, find what is lost, keep the deadline.
-- ARGV  1 silence: time after which a message that a worker took must have been answered  2 duty lease  3 losses allowed
--       4 most releases in one sweep  5 expire_at  6 shortest time between two sweeps
-- Returns {state, {target to notify ...}, 1 while somebody is still to be notified, generation, function, epoch,
--          open 0 or 1, reduce 0 or 1, delete 0 or 1, {segment ...}, {{task, attempt} ...}, {exhausted task ...},
--          when it ended, how many of the released were lost}; only the first three when there is no such batch (state
--          'gone'), or another replica has just swept it (state '')
local state, generation, fn, swept_at, epoch = get('state', 'generation', 'function', 'swept_at', 'epoch')
if not state then return {'gone', due_notices()} end
if swept_at and now - swept_at < tonumber(ARGV[6]) then return {'', {}, 0} end
local silence, lease, cap, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
call('HSET', LEDGER, 'swept_at', now)
-- An opening or a reduce that never succeeds does not live for ever.
if is_open(state) then
  call('HSET', LEDGER, 'expire_at', math.max(tonumber(call('HGET', LEDGER, 'expire_at')), tonumber(ARGV[5])))
end

local heard, heard_at, mark, mark_at, probed_at, deadline_at, not_before, first_at, closing_at, pending =
  get('heard', 'heard_at', 'mark', 'mark_at', 'probed_at', 'deadline_at', 'not_before', 'first_at', 'closing_at', 'pending')
if (state == 'running' or state == 'paused') and now > tonumber(deadline_at) then
  start_closing('failed', 'the deadline passed before every item had run')
  state, closing_at = 'closing', now
end

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
local function lose(task)
  if is_settled(task) or now - (call('HGET', ATTEMPTS, 'x:' .. task) or 0) < silence then return end
  if call('HINCRBY', ATTEMPTS, 'l:' .. task, 1) > cap then
    exhausted[#exhausted + 1] = tonumber(task)
  else
    call('HINCRBY', ATTEMPTS, task, 1)
    call('HINCRBY', LEDGER, 'retried', 1)
    lost = lost + 1
    release(task)
  end
end

if state == 'running' then
  -- Lost by evidence: released before something that was answered one silence ago, and silent since.
  if now - mark_at >= silence then
    for _, task in ipairs(call('ZRANGEBYSCORE', INFLIGHT, '-inf', '(' .. mark, 'LIMIT', 0, most)) do lose(task) end
    if #released < most then call('HSET', LEDGER, 'mark', heard, 'mark_at', now) end
  end
  -- Nothing at all answers: one task is released again, to see whether the queue still carries.
  if now - heard_at >= silence and now - probed_at >= silence then
    local oldest = call('ZRANGEBYSCORE', INFLIGHT, '-inf', now - silence, 'LIMIT', 0, 1)[1]
    call('HSET', LEDGER, 'probed_at', now)
    if oldest then
      call('HINCRBY', ATTEMPTS, oldest, 1)
      lost = lost + 1
      release(oldest)
    end
  end
  local window_at = tonumber(call('ZSCORE', DUE, 'w') or now + 1)
  if window_at <= now then
    call('ZREM', DUE, 'w')
    -- The next attempt, so that an answer to the first is no word of how far the queue has come.
    for _, task in ipairs(call('ZRANGEBYSCORE', INFLIGHT, '-inf', first_at)) do
      call('HINCRBY', ATTEMPTS, task, 1)
      call('ZREM', INFLIGHT, task)
      call('ZADD', DUE, now, 't:' .. task)
    end
  end
  -- What was refused or failed runs again; a few over the window, so that fresh tasks cannot crowd it out.
  local ahead, may_release = pacer()
  local busy, room = call('ZCARD', INFLIGHT), math.min(tonumber(call('HGET', LEDGER, 'window')), ahead) + 4
  for _, duty in ipairs(call('ZRANGEBYSCORE', DUE, '-inf', now)) do
    if #released >= most or busy >= room then break end
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
    release_next(fresh, most - #released)
    for _, task in ipairs(fresh) do released[#released + 1] = {task, 0} end
  end
elseif state == 'closing' and (call('ZCARD', INFLIGHT) == 0 or now - closing_at >= silence) then
  if tonumber(pending) > 0 then cut_segment(0) end
  start_reduce(0)
  state = 'reducing'
end

local open, reduce, delete, segments = 0, 0, 0, {}
for _, duty in ipairs(call('ZRANGEBYSCORE', DUE, '-inf', now)) do
  local kind = string.sub(duty, 1, 1)
  if kind ~= 't' and kind ~= 'w' and kind ~= 'n' then
    call('ZADD', DUE, now + lease, duty)
    if kind == 'o' and state == 'opening' then open = 1 end
    if kind == 'r' and state == 'reducing' then reduce = 1 end
    if kind == 'd' then delete = 1 end
    if kind == 's' then segments[#segments + 1] = tonumber(string.sub(duty, 3)) end
  end
end
keep()
-- Not leased here: whoever makes a try takes it first.
local notify, waiting = {}, 0
if has_ended(state) then notify, waiting = due_notices() end
return {state, notify, waiting, generation, fn or '', epoch, open, reduce, delete, segments, released, exhausted,
  get('ended') or '', lost}
