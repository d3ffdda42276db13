-- The queue-worker announces that it tries a task again by itself: the task is alive, and not lost for a while.
-- Its release time stays, since that is its place in the queue.
-- @arg generation  int
-- @arg task        int
-- @arg epoch       text
local current_generation, current_epoch = get('generation', 'epoch')
if current_epoch ~= epoch or current_generation ~= generation or not call('ZSCORE', INFLIGHT, task) then return end
call('HSET', ATTEMPTS, 'x:' .. task, now)
call('HSET', LEDGER, 'heard_at', now)
set_expiry()
