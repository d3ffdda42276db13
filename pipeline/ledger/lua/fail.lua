-- A callback brought no usable answer: release the task again later, or report that its attempts are used up.
-- Nothing changes unless the task is unsettled and the attempt is the current one.
-- @arg generation  int
-- @arg task        int
-- @arg attempt     int
-- @arg attempts    int   allowed; 0: this failure does not count
-- @arg backoff     us    before the next release
-- @arg epoch       text
-- @reply verdict   text  retry | exhausted (settle its items as failed) | skip (the batch is closing: settle it empty)
--                        | duplicate (settled already) | stale (an older attempt) | closed | unknown (no ledger)
local state, current_generation, heard, current_epoch = get('state', 'generation', 'heard', 'epoch')
if not state then return 'unknown' end
if current_epoch ~= epoch or current_generation ~= generation or not accepts_answers(state) then return 'closed' end
if call('GETBIT', SETTLED, task) == 1 then return 'duplicate' end
if call('HGET', ATTEMPTS, 'a:' .. task) == attempt then call('HDEL', ATTEMPTS, 'a:' .. task, 'r:' .. task) end
if (call('HGET', ATTEMPTS, task) or '0') ~= attempt then return 'stale' end
if state == 'closing' then return 'skip' end
local released_at = tonumber(call('ZSCORE', INFLIGHT, task) or 0)
call('HSET', LEDGER, 'heard', math.max(released_at, tonumber(heard)), 'heard_at', now)
local allowed = tonumber(attempts)
if allowed > 0 and call('HINCRBY', ATTEMPTS, 'f:' .. task, 1) >= allowed then
  set_expiry()
  return 'exhausted'
end
call('HSET', ATTEMPTS, task, attempt + 1)
call('HINCRBY', LEDGER, 'retried', 1)
call('ZREM', INFLIGHT, task)
call('ZADD', DUE, now + backoff, 't:' .. task)
set_expiry()
return 'retry'
