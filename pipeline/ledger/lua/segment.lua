-- Segment n is in S3: drop its outcomes and its duty, and push the batch's expiry on.
-- ARGV  1 generation  2 segment  3 expire_at  4 epoch
local generation, cut, trimmed, epoch = get('generation', 'cut', 'trimmed', 'epoch')
if epoch ~= ARGV[4] or generation ~= ARGV[1] then return end
if call('HDEL', LEDGER, 'seg:' .. ARGV[2]) == 0 then return end
call('ZREM', DUE, 's:' .. ARGV[2])
-- Answers leave from the front only: up to the oldest segment that is still to be written.
local first = tonumber(cut)
for _, duty in ipairs(call('ZRANGE', DUE, 0, -1)) do
  if string.sub(duty, 1, 2) == 's:' then
    first = math.min(first, (segment_range(string.sub(duty, 3))))
  end
end
if first > tonumber(trimmed) then
  call('LTRIM', OUTCOMES, first - trimmed, -1)
  call('HSET', LEDGER, 'trimmed', first)
end
call('HSET', LEDGER, 'expire_at', math.max(tonumber(call('HGET', LEDGER, 'expire_at')), tonumber(ARGV[3])))
keep()
