-- A callback that announces another try by the queue-worker itself: the task is alive, its release counts from now.
-- ARGV  1 generation  2 task
-- Returns 1 when the task is in flight, else 0
local generation = get('generation')
if generation ~= ARGV[1] then return 0 end
return call('ZADD', INFLIGHT, 'XX', 'CH', now, ARGV[2])
