-- The answers of a segment that is to be written, in the order they settled.
-- ARGV  1 generation  2 segment
-- Returns {epoch, answer ...}; no answers when it is written, or the generation is over
local generation, epoch, trimmed = get('generation', 'epoch', 'trimmed')
local first, stop = segment_range(ARGV[2])
if generation ~= ARGV[1] or not first then return {''} end
local reply = call('LRANGE', OUTCOMES, first - trimmed, stop - trimmed - 1)
table.insert(reply, 1, epoch)
return reply
