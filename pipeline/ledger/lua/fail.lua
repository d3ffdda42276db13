-- A callback brought no usable answer: run the task again later, or say that it has used up its attempts.
-- A no-op unless the task is unsettled and the attempt is the current one.
-- ARGV  1 generation  2 task  3 attempt  4 attempts allowed (0: this failure does not count)
--       5 backoff  6 epoch
-- Returns {verdict}: retry | exhausted (settle its items as failed) | skip (settle it without outcomes: the batch closes)
--         | duplicate | stale | closed | unknown
local state, generation, heard, epoch = get('state', 'generation', 'heard', 'epoch')
if not state then return {'unknown'} end
if epoch ~= ARGV[6] or generation ~= ARGV[1] or not is_open(state) then return {'closed'} end
if call('GETBIT', SETTLED, ARGV[2]) == 1 then return {'duplicate'} end
if (call('HGET', ATTEMPTS, ARGV[2]) or '0') ~= ARGV[3] then return {'stale'} end
if state == 'closing' then return {'skip'} end
local sent = tonumber(call('ZSCORE', INFLIGHT, ARGV[2]) or 0)
call('HSET', LEDGER, 'heard', math.max(sent, tonumber(heard)), 'heard_at', now)
local allowed = tonumber(ARGV[4])
if allowed > 0 and call('HINCRBY', ATTEMPTS, 'f:' .. ARGV[2], 1) >= allowed then
  keep()
  return {'exhausted'}
end
call('HSET', ATTEMPTS, ARGV[2], ARGV[3] + 1)
call('HINCRBY', LEDGER, 'retried', 1)
call('ZREM', INFLIGHT, ARGV[2])
call('ZADD', DUE, now + ARGV[5], 't:' .. ARGV[2])
keep()
return {'retry'}
