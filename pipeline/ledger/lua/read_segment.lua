-- Read the answers of a segment that is to be written, in the order in which they settled.
-- @arg generation    int
-- @arg segment       int
-- @reply epoch       text   '' without answers: the segment is written already, or the generation is over
-- @reply ...answers  bytes
local current_generation, epoch, trimmed = get('generation', 'epoch', 'trimmed')
local first, stop = segment_range(segment)
if current_generation ~= generation or not first then return {''} end
local reply = call('LRANGE', OUTCOMES, first - trimmed, stop - trimmed - 1)
table.insert(reply, 1, epoch)
return reply
