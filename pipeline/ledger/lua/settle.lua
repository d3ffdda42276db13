-- Record a task's first outcome and take on every duty that follows from it.
-- ARGV  1 generation  2 task  3 attempt  4 succeeded  5 failed  6 of these, answered 404
--       7 answer (opaque bytes, '' for none)  8 segment count  9 segment bytes  10 duty lease
--       11 first calls that must not all answer 404  12 epoch  13 of the failed, worth another attempt
--       14 bucket of the task's duration ('' where it is not known)
--       15 ... of each kind of failure: kind, given up, worth another attempt, example
-- Returns {verdict, function, segment or -1, reduce 0 or 1, task to release ...}: settled | duplicate | closed | unknown
-- No duty lives only in the reply: it may be lost after the script ran.
local state, generation, fn, heard, items, epoch, base, final, tolerated, run_at, slot_width =
  get('state', 'generation', 'function', 'heard', 'items', 'epoch', 'base', 'final', 'tolerated', 'run_at', 'slot_width')
if not state then return {'unknown', '', -1, 0} end
if epoch ~= ARGV[12] or generation ~= ARGV[1] or not is_open(state) then return {'closed', fn, -1, 0} end
-- Nobody skips a task of a batch that goes on.
local outcomes = ARGV[4] + ARGV[5]
if outcomes == 0 and state ~= 'closing' then return {'closed', fn, -1, 0} end
-- The first write, and one that Redis refuses when it is out of memory: all of the script or nothing.
if call('SETBIT', SETTLED, ARGV[2], 1) == 1 then
  drop_task(ARGV[2])
  return {'duplicate', fn, -1, 0}
end

local SLOTS, MOST_KINDS = 120, 20

-- The time is full: each slot covers as much more of it as makes room, and holds what its parts did.
local function widen(width, slot)
  local factor = 2
  while slot / factor >= SLOTS do factor = factor * 2 end
  local layout = '>' .. string.rep('I4', SLOTS)
  local kept = call('GETRANGE', SERIES, 0, 4 * SLOTS - 1)
  local old, new = {struct.unpack(layout, kept .. string.rep('\0', 4 * SLOTS - #kept))}, {}
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
  local bucket = ARGV[14] ~= '' and {'INCRBY', 'u32', '#' .. SLOTS + ARGV[14], 1} or {}
  call('BITFIELD', SERIES, 'OVERFLOW', 'SAT', 'INCRBY', 'u32', '#' .. slot, settled, unpack(bucket))
end

-- Room for one more kind: the one that was seen the longest time ago goes.
local function drop_oldest_kind()
  local kinds, oldest, oldest_at = call('HGETALL', FAILURES), nil, math.huge
  for place = 1, #kinds, 2 do
    local _, _, _, at = failure_counts(kinds[place + 1])
    if at < oldest_at then oldest, oldest_at = kinds[place], at end
  end
  call('HDEL', FAILURES, oldest)
end

local function note_failures(kind, given_up, retryable, example)
  local kept = call('HGET', FAILURES, kind)
  if not kept and call('HLEN', FAILURES) >= MOST_KINDS then drop_oldest_kind() end
  local known_given_up, known_retryable, again = failure_counts(kept or '0 0 0 0 ')
  keep_failures(kind, known_given_up + given_up, known_retryable + retryable, again, now, example)
end

local lease = tonumber(ARGV[10])
local pending, bytes = 0, 0
if outcomes > 0 then
  count_over_time(outcomes)
  for place = 15, #ARGV, 4 do note_failures(ARGV[place], ARGV[place + 1], ARGV[place + 2], ARGV[place + 3]) end
  call('RPUSH', OUTCOMES, ARGV[7])
  pending = call('HINCRBY', LEDGER, 'pending', outcomes)
  bytes = call('HINCRBY', LEDGER, 'bytes', #ARGV[7])
else
  pending = tonumber(call('HGET', LEDGER, 'pending'))
end
-- Only the current attempt's answer says how far the queue has come: the release time is that attempt's.
local sent = 0
if (call('HGET', ATTEMPTS, ARGV[2]) or '0') == ARGV[3] then sent = tonumber(call('ZSCORE', INFLIGHT, ARGV[2]) or 0) end
drop_task(ARGV[2])
call('HSET', LEDGER, 'heard', math.max(sent, tonumber(heard)), 'heard_at', now)
call('HINCRBY', LEDGER, 'succeeded', ARGV[4])
call('HINCRBY', LEDGER, 'failed', ARGV[5])
local remaining = call('DECR', REMAINING)

-- The first calls of a run, and every one of them answered 404; -1 once one was not.
if state ~= 'closing' and outcomes > 0 and generation == base then
  local not_found = tonumber(call('HGET', LEDGER, 'not_found'))
  if not_found >= 0 then
    not_found = tonumber(ARGV[6]) == outcomes and not_found + outcomes or -1
    call('HSET', LEDGER, 'not_found', not_found)
  end
  if not_found >= math.min(tonumber(ARGV[11]), tonumber(items)) then
    start_closing('failed', "the model function '" .. fn .. "' answered 404 to the first " .. not_found ..
      ' calls: is it deployed under this name?')
    state = 'closing'
  end
end
if tolerated and ARGV[5] ~= '0' then
  -- An item that is to run again has not failed yet.
  local given_up = call('HINCRBY', LEDGER, 'given_up', final == '1' and ARGV[5] or ARGV[5] - ARGV[13])
  if state ~= 'closing' and given_up > tonumber(tolerated) then
    start_closing('failed', too_many(given_up, tolerated))
    state = 'closing'
  end
end

local ended = remaining == 0 or (state == 'closing' and call('ZCARD', INFLIGHT) == 0)
local reply = {'settled', fn, -1, 0}
if pending > 0 and (ended or pending >= tonumber(ARGV[8]) or bytes >= tonumber(ARGV[9])) then
  reply[3] = cut_segment(lease)
end
if ended then
  start_reduce(lease)
  reply[4] = 1
elseif state == 'running' then
  release_next(reply, 2)
end
keep()
return reply
