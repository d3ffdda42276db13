-- Stands before every script, after fields.lua. KEYS are those of one batch (ledger/keys.py), each under its name in
-- capitals. A script's arguments have the names of its header: `@arg name type  meaning` is one, `@rest` names the list
-- of all that follow; `@reply` names the reply, or each part of a list, with `...` before the name of all that follow.
-- Types: text, bytes, json, int, number, flag (0 or 1), ints and pairs (lists), hash and raw_hash (fields and values in
-- turn; those of raw_hash are bytes); times are us (microseconds), unix or seconds. `?` after the type allows none: ''
-- as an argument, '' or false in a reply. ledger/headers.py reads the headers, so that callers count in seconds.
-- Times in Redis are microseconds since 1970, by Redis' own clock. Duties are 't:<task>' (to release), 'l:<task>' (its
-- run is over by then, or lost), 's:<segment>', 'w' (first window), 'r' (reduce), 'o' (open), 'd' (delete),
-- 'm' (missing objects are to be looked for), 'n:<target>' (a notification of the batch's end).
-- Positions in the list of outcomes count from the generation's first answer on: 'trimmed' of them are gone, those
-- before 'cut' belong to segments, and 'seg:<n>' is '<first>-<end>' of a segment that is still to be written.
local call = redis.call
local clock = call('TIME')
local now = clock[1] * 1000000 + clock[2]

-- The arguments from a place on.
local function arguments_from(first)
  local rest = {}
  for place = first, #ARGV do rest[#rest + 1] = ARGV[place] end
  return rest
end

-- A lease that ends later than it can is from before the clock was set back, or from a node whose clock was ahead: it
-- is over.
local function is_leased(lease_until, lease)
  local left = tonumber(lease_until or 0) - now
  return left > 0 and left <= tonumber(lease)
end

-- When keys expire that live for so many seconds from now.
local function expire_in(seconds)
  return math.ceil(now / 1000000 + seconds)
end

-- A key that the script has just created has no TTL yet.
local function set_expiry()
  local expire_at = call('HGET', LEDGER, 'expire_at') or call('HGET', NOTICES, 'expire_at')
  for _, key in ipairs(KEYS) do call('EXPIREAT', key, expire_at) end
  return expire_at
end

-- A batch with a rate releases no faster than its calls may be made, but for a burst of one second.
local BURST = 1000000

-- Returns how many tasks may be in flight so that each gets its turn to call in time, and a function that reserves one
-- release and returns whether the rate allows it.
local function rate_limiter()
  local rate, paced_at, calls, ahead = get('rate', 'paced_at', 'calls', 'ahead')
  if not rate then return math.huge, function() return true end end
  local cost = calls * 1000000 / rate
  local at = math.max(tonumber(paced_at or 0), now)
  -- Later than any release leaves it: the clock was set back.
  if at > now + BURST + cost then at = now end
  return math.max(1, math.floor(rate * ahead / calls)), function()
    if at > now + BURST then return false end
    at = at + cost
    call('HSET', LEDGER, 'paced_at', at)
    return true
  end
end

-- In a rebuilt ledger some tasks are settled that it never released.
local function next_unsettled(task, tasks)
  while task < tasks and call('GETBIT', SETTLED, task) == 1 do
    task = task % 8 == 0 and call('BITPOS', SETTLED, 0, task / 8) or task + 1
  end
  return task
end

-- Release tasks that never ran while the window has room, at most `most`, and append them to the reply. Two at a settle
-- refill a window that has shrunk.
local function fill_window(reply, most)
  local next, tasks, window = get('next', 'tasks', 'window')
  next, tasks, window = tonumber(next), tonumber(tasks), tonumber(window)
  local ahead, may_release = rate_limiter()
  local busy, room = call('ZCARD', INFLIGHT), math.min(window, ahead)
  local released = 0
  next = next_unsettled(next, tasks)
  while next < tasks and busy < room and released < most and may_release() do
    call('ZADD', INFLIGHT, now, next)
    reply[#reply + 1] = next
    next, busy, released = next_unsettled(next + 1, tasks), busy + 1, released + 1
  end
  if released > 0 then call('HSET', LEDGER, 'next', next) end
end

-- The pending outcomes become segment n, which stays due until it is written.
local function cut_segment(lease)
  local n = call('HINCRBY', LEDGER, 'segments', 1) - 1
  local trimmed, cut = get('trimmed', 'cut')
  local stop = string.format('%d', trimmed + call('LLEN', OUTCOMES))
  call('HSET', LEDGER, 'seg:' .. n, cut .. '-' .. stop, 'cut', stop, 'bytes', 0, 'pending', 0)
  call('ZADD', DUE, now + lease, 's:' .. n)
  return n
end

-- A settled task has no duty any more, whichever attempt of it is still under way.
local function drop_task(task)
  call('ZREM', INFLIGHT, task)
  call('ZREM', DUE, 't:' .. task, 'l:' .. task)
  call('HDEL', ATTEMPTS, task, 'f:' .. task, 'l:' .. task, 'x:' .. task, 'a:' .. task, 'r:' .. task)
end

local function start_reduce(lease)
  call('HSET', LEDGER, 'state', 'reducing', 'completed', now)
  call('DEL', INFLIGHT)
  call('ZADD', DUE, now + lease, 'r')
end

-- No task is released any more: those that wait to run again are given up, those in flight may still settle.
local function start_closing(outcome, reason)
  call('HSET', LEDGER, 'state', 'closing', 'outcome', outcome, 'reason', reason, 'closing_at', now)
  for _, duty in ipairs(call('ZRANGE', DUE, 0, -1)) do
    if string.match(duty, '^[tl]:') or duty == 'w' then call('ZREM', DUE, duty) end
  end
end

local function too_many_failed(given_up, tolerated)
  return given_up .. ' items failed, and ' .. tolerated .. ' are tolerated'
end

local function parse_failure(stored)
  local given_up, retryable, again, at, place = string.match(stored, '^(%d+) (%d+) (%d+) (%d+) ()')
  return tonumber(given_up), tonumber(retryable), tonumber(again), tonumber(at), string.sub(stored, place)
end

local function write_failure(kind, given_up, retryable, again, at, example)
  call('HSET', FAILURES, kind, string.format('%d %d %d %d ', given_up, retryable, again, at) .. example)
end

local function accepts_answers(state)
  return state == 'running' or state == 'paused' or state == 'closing'
end

-- The positions of a segment's answers, nil when it is written already.
local function segment_range(n)
  local first, stop = string.match(call('HGET', LEDGER, 'seg:' .. n) or '', '^(%d+)-(%d+)$')
  return tonumber(first), tonumber(stop)
end

local function has_ended(state)
  return state == 'done' or state == 'cancelled' or state == 'failed'
end

-- A target's state is 'held' (it waits for the one that is due first), 'due', 'delivered' or 'undelivered'.
local function read_notice(target)
  local stored = call('HGET', NOTICES, target) or ''
  local state, tries, status, at, since = string.match(stored, '^(%a+) (%d+) (%d+) (%d+) (%d+)$')
  return state, tonumber(tries), tonumber(status), tonumber(at), tonumber(since)
end

local function write_notice(target, state, tries, status, at, since)
  call('HSET', NOTICES, target, string.format('%s %d %d %d %d', state, tries, status, at, since))
end

-- The target's turn begins now, and so does the time after which it is given up.
local function make_due(target)
  local _, tries, status, at = read_notice(target)
  write_notice(target, 'due', tries, status, at, now)
  call('ZADD', DUE, now, 'n:' .. target)
end

-- The batch has ended: its targets are due at once, or, where the first one reduces, after that one.
local function start_notices()
  local targets, reduces, epoch, generation, ended, redrives =
    get('targets', 'reduces', 'epoch', 'generation', 'ended', 'redrives')
  call('DEL', NOTICES)
  targets = tonumber(targets or 0)
  if targets == 0 then return end
  call('HSET', NOTICES, 'end', epoch .. ' ' .. generation .. ' ' .. ended, 'redrives', redrives or 0)
  for target = 0, targets - 1 do
    write_notice(target, 'held', 0, 0, 0, 0)
    if target == 0 or not reduces then make_due(target) end
  end
end

-- Nobody is notified of this end any more.
local function drop_notices()
  for target = 0, call('HLEN', NOTICES) - 1 do call('ZREM', DUE, 'n:' .. target) end
  call('DEL', NOTICES)
end

-- Returns the due targets, the longest due first, and 1 while any target is still to be notified, else 0. A target that
-- waits since a time to come is due: the clock was set back.
local function due_notices()
  local due, waiting = {}, 0
  for _, target in ipairs(call('HKEYS', NOTICES)) do
    local target_state, tries, status, at, since = read_notice(target)
    if target_state and math.max(at, since) > now then
      write_notice(target, target_state, tries, status, math.min(at, now), math.min(since, now))
      call('ZADD', DUE, 'XX', now, 'n:' .. target)
    end
  end
  for _, duty in ipairs(call('ZRANGEBYSCORE', DUE, '-inf', now)) do
    if string.sub(duty, 1, 2) == 'n:' then due[#due + 1] = tonumber(string.sub(duty, 3)) end
  end
  for _, stored in ipairs(call('HVALS', NOTICES)) do
    if string.match(stored, '^due ') or string.match(stored, '^held ') then waiting = 1 end
  end
  return due, waiting
end

-- The start of every generation, also of one that is rebuilt.
local function start_generation(tasks)
  call('DEL', SETTLED, OUTCOMES, INFLIGHT, DUE, REMAINING, ATTEMPTS, NOTICES)
  call('HSET', LEDGER, 'tasks', tasks, 'next', 0, 'segments', 0, 'bytes', 0, 'pending', 0, 'trimmed', 0, 'cut', 0,
    'not_found', 0, 'heard', 0, 'heard_at', now, 'mark', 0, 'mark_at', now, 'probed_at', now, 'not_before', now,
    'first_at', now, 'owner', '', 'lease_until', 0)
  call('HDEL', LEDGER, 'trouble', 'missing', 'paced_at', 'called_at', 'asked_at', 'completed', 'ended', 'begun',
    'excused', 'delay', 'doubt_at', 'proven_at', 'probes')
  -- The whole bitmap at once: no settle makes it longer.
  if tasks > 0 then call('SETBIT', SETTLED, tasks - 1, 0) end
end
