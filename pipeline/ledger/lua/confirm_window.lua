-- The first window of a generation is released: the gateway accepted each message, or its task was deferred.
-- @arg generation  int
-- @arg epoch       text
local current_generation, current_epoch = get('generation', 'epoch')
if current_epoch == epoch and current_generation == generation then call('ZREM', DUE, 'w') end
