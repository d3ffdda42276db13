-- Prepended to every script. All of them take the same keys, those of one batch:
-- KEYS  1 ledger hash  2 settled bitmap  3 outcomes list  4 inflight zset (task -> release time)
--       5 due zset (duty -> when another may take it over)  6 remaining counter
--       7 attempts hash (task -> attempt, f:task -> failures, l:task -> losses, x:task -> extended at)
-- Times are microseconds since 1970, by Redis' own clock. Duties are 't:<task>', 's:<segment>', 'w' (first
-- window), 'r' (reduce), 'o' (open).
-- The list of a segment being written is KEYS[3] .. ':' .. number: the same hash tag, so the same slot.
local LEDGER, SETTLED, OUTCOMES, INFLIGHT, DUE, REMAINING, ATTEMPTS =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local call = redis.call
local clock = call('TIME')
local now = clock[1] * 1000000 + clock[2]

local function get(...)
  return unpack(call('HMGET', LEDGER, ...))
end

-- Keys that a write made anew have no TTL yet.
local function keep()
  local expire_at = call('HGET', LEDGER, 'expire_at')
  for _, key in ipairs(KEYS) do call('EXPIREAT', key, expire_at) end
  return expire_at
end

-- The window: release tasks that never ran, at most `most` of them. A burst of two a settle heals a shrunk window.
local function release_next(reply, most)
  local next, tasks, window = get('next', 'tasks', 'window')
  next, tasks, window = tonumber(next), tonumber(tasks), tonumber(window)
  local busy = call('ZCARD', INFLIGHT)
  local released = 0
  while next < tasks and busy < window and released < most do
    call('ZADD', INFLIGHT, now, next)
    reply[#reply + 1] = next
    next, busy, released = next + 1, busy + 1, released + 1
  end
  if released > 0 then call('HSET', LEDGER, 'next', next) end
end

-- Outcomes that wait become segment n: renamed aside, and due to be written until someone says it is.
local function cut_segment(lease)
  local n = call('HINCRBY', LEDGER, 'segments', 1) - 1
  local aside = OUTCOMES .. ':' .. n
  call('RENAME', OUTCOMES, aside)
  call('EXPIREAT', aside, call('HGET', LEDGER, 'expire_at'))
  call('HSET', LEDGER, 'bytes', 0, 'pending', 0)
  call('ZADD', DUE, now + lease, 's:' .. n)
  return n
end

-- A settled task is owed nothing any more, whichever attempt of it is still under way.
local function drop_task(task)
  call('ZREM', INFLIGHT, task)
  call('ZREM', DUE, 't:' .. task)
  call('HDEL', ATTEMPTS, task, 'f:' .. task, 'l:' .. task, 'x:' .. task)
end

local function start_reduce(lease)
  call('HSET', LEDGER, 'state', 'reducing', 'completed', now)
  call('DEL', INFLIGHT)
  call('ZADD', DUE, now + lease, 'r')
end

-- No release any more: what waits to run again is given up, what is in flight may still settle.
local function start_closing(outcome, reason)
  call('HSET', LEDGER, 'state', 'closing', 'outcome', outcome, 'reason', reason, 'closing_at', now)
  for _, duty in ipairs(call('ZRANGE', DUE, 0, -1)) do
    if string.sub(duty, 1, 2) == 't:' or duty == 'w' then call('ZREM', DUE, duty) end
  end
end

local function is_open(state)
  return state == 'running' or state == 'paused' or state == 'closing'
end
