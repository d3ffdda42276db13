-- A callback that announces another try by the queue-worker itself: the task is alive, and not lost for a while.
-- Its release time stays, since that is its place in the queue.
-- ARGV  1 generation  2 task  3 epoch
local generation, epoch = get('generation', 'epoch')
if epoch ~= ARGV[3] or generation ~= ARGV[1] or not call('ZSCORE', INFLIGHT, ARGV[2]) then return end
call('HSET', ATTEMPTS, 'x:' .. ARGV[2], now)
call('HSET', LEDGER, 'heard_at', now)
keep()
