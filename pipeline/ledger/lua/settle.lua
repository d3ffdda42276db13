-- Record a task's first outcome and take on every duty that follows from it.
-- No duty lives only in the reply, which may be lost after the script ran.
-- @arg generation     int
-- @arg task           int
-- @arg attempt        int
-- @arg succeeded      int    items in the answer
-- @arg failed         int    items in the answer
-- @arg not_found      int    of the failed, those answered 404
-- @arg answer         bytes  '' for an answer without outcomes
-- @arg most_outcomes  int    a segment is cut at so many outcomes,
-- @arg most_bytes     int    or at so many bytes
-- @arg duty_lease     us     after which others may take over what this hands out
-- @arg first_calls    int    a run stops when so many first calls all answered 404
-- @arg epoch          text
-- @arg retryable      int    of the failed, those worth another attempt
-- @arg bucket         int?   of the task's duration; none: it is not known
-- @rest failures      text   of each kind of failure: kind, given up, worth another attempt, example
-- @reply verdict      text   settled | duplicate | closed | unknown (no ledger)
-- @reply function     text
-- @reply segment      int?   to write
-- @reply reduce       flag   1: the reduce is to be started
-- @reply ...release   int    tasks
local state, current_generation, current_epoch, model_function, heard, items, base, final, tolerated, run_at, slot_width
  = get('state', 'generation', 'epoch', 'function', 'heard', 'items', 'base', 'final', 'tolerated', 'run_at',
    'slot_width')
if not state then return {'unknown', '', false, 0} end
if current_epoch ~= epoch or current_generation ~= generation or not accepts_answers(state) then
  return {'closed', model_function, false, 0}
end
-- Only a task of a closing batch is settled without outcomes.
local outcomes = succeeded + failed
if outcomes == 0 and state ~= 'closing' then return {'closed', model_function, false, 0} end
-- The first write: Redis refuses it when it is out of memory, so that all of the script runs or nothing.
if call('SETBIT', SETTLED, task, 1) == 1 then
  drop_task(task)
  return {'duplicate', model_function, false, 0}
end

local SLOTS, MOST_KINDS = 120, 20

-- The last slot is full: slots become wider, and each holds the sum of those that it replaces.
local function widen(width, slot)
  local factor = 2
  while slot / factor >= SLOTS do factor = factor * 2 end
  local layout = '>' .. string.rep('I4', SLOTS)
  local stored = call('GETRANGE', SERIES, 0, 4 * SLOTS - 1)
  local old, new = {struct.unpack(layout, stored .. string.rep('\0', 4 * SLOTS - #stored))}, {}
  for place = 1, SLOTS do new[place] = 0 end
  for place = 1, SLOTS do
    local merged = math.floor((place - 1) / factor) + 1
    new[merged] = new[merged] + old[place]
  end
  call('SETRANGE', SERIES, 0, struct.pack(layout, unpack(new)))
  call('HSET', LEDGER, 'slot_width', string.format('%d', width * factor))
  return math.floor(slot / factor)
end

local function count_over_time(settled)
  local width = tonumber(slot_width or 1000000)
  local slot = math.max(0, math.floor((now - (run_at or now)) / width))
  if slot >= SLOTS then slot = widen(width, slot) end
  local duration = bucket ~= '' and {'INCRBY', 'u32', '#' .. SLOTS + bucket, 1} or {}
  call('BITFIELD', SERIES, 'OVERFLOW', 'SAT', 'INCRBY', 'u32', '#' .. slot, settled, unpack(duration))
end

-- Make room for one more kind: drop the one that was last seen the longest time ago.
local function drop_oldest_kind()
  local kinds, oldest, oldest_at = call('HGETALL', FAILURES), nil, math.huge
  for place = 1, #kinds, 2 do
    local _, _, _, at = parse_failure(kinds[place + 1])
    if at < oldest_at then oldest, oldest_at = kinds[place], at end
  end
  call('HDEL', FAILURES, oldest)
end

local function note_failures(kind, given_up, worth_retry, example)
  local stored = call('HGET', FAILURES, kind)
  if not stored and call('HLEN', FAILURES) >= MOST_KINDS then drop_oldest_kind() end
  local known_given_up, known_retryable, again = parse_failure(stored or '0 0 0 0 ')
  write_failure(kind, known_given_up + given_up, known_retryable + worth_retry, again, now, example)
end

local pending, bytes = 0, 0
if outcomes > 0 then
  count_over_time(outcomes)
  for place = 1, #failures, 4 do note_failures(unpack(failures, place, place + 3)) end
  call('RPUSH', OUTCOMES, answer)
  pending = call('HINCRBY', LEDGER, 'pending', outcomes)
  bytes = call('HINCRBY', LEDGER, 'bytes', #answer)
else
  pending = tonumber(call('HGET', LEDGER, 'pending'))
end
-- Only the current attempt's answer says how far the queue has come: the release time is that attempt's.
local released_at = 0
if (call('HGET', ATTEMPTS, task) or '0') == attempt then released_at = tonumber(call('ZSCORE', INFLIGHT, task) or 0) end
drop_task(task)
call('HSET', LEDGER, 'heard', math.max(released_at, tonumber(heard)), 'heard_at', now)
if released_at > 0 then
  local recent = math.floor(0.9 * (call('HGET', LEDGER, 'delay') or 0))
  call('HSET', LEDGER, 'delay', string.format('%d', math.max(now - released_at, recent)))
end
call('HINCRBY', LEDGER, 'succeeded', succeeded)
call('HINCRBY', LEDGER, 'failed', failed)
local remaining = call('DECR', REMAINING)

-- 'not_found' counts the first calls of a run while every one of them answers 404; -1 once one did not.
if state ~= 'closing' and outcomes > 0 and generation == base then
  local only_404 = tonumber(call('HGET', LEDGER, 'not_found'))
  if only_404 >= 0 then
    only_404 = tonumber(not_found) == outcomes and only_404 + outcomes or -1
    call('HSET', LEDGER, 'not_found', only_404)
  end
  if only_404 >= math.min(tonumber(first_calls), tonumber(items)) then
    start_closing('failed', "the model function '" .. model_function .. "' answered 404 to the first " .. only_404 ..
      ' calls: is it deployed under this name?')
    state = 'closing'
  end
end
if tolerated and failed ~= '0' then
  -- An item that is to run again has not failed yet.
  local given_up = call('HINCRBY', LEDGER, 'given_up', final == '1' and failed or failed - retryable)
  if state ~= 'closing' and given_up > tonumber(tolerated) then
    start_closing('failed', too_many_failed(given_up, tolerated))
    state = 'closing'
  end
end

local over = remaining == 0 or (state == 'closing' and call('ZCARD', INFLIGHT) == 0)
local reply = {'settled', model_function, false, 0}
if pending > 0 and (over or pending >= tonumber(most_outcomes) or bytes >= tonumber(most_bytes)) then
  reply[3] = cut_segment(duty_lease)
end
if over then
  start_reduce(duty_lease)
  reply[4] = 1
elseif state == 'running' then
  fill_window(reply, 2)
end
set_expiry()
return reply
