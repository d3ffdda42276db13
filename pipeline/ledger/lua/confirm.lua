-- The first window of a generation is released: the gateway took each message, or its task was deferred.
-- ARGV  1 generation  2 epoch
local generation, epoch = get('generation', 'epoch')
if epoch == ARGV[2] and generation == ARGV[1] then call('ZREM', DUE, 'w') end
