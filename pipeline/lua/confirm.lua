-- The first window of a generation is released: the gateway took each message, or its task was deferred.
-- ARGV  1 generation
local generation = get('generation')
if generation ~= ARGV[1] then return 0 end
return call('ZREM', DUE, 'w')
