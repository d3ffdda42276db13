-- A segment is in S3: drop its outcomes and its duty, and postpone the expiry of the batch.
-- @arg generation  int
-- @arg segment     int
-- @arg ttl         seconds  that the keys of the batch live on at least
-- @arg epoch       text
local current_generation, cut, trimmed, current_epoch = get('generation', 'cut', 'trimmed', 'epoch')
if current_epoch ~= epoch or current_generation ~= generation then return end
if call('HDEL', LEDGER, 'seg:' .. segment) == 0 then return end
call('ZREM', DUE, 's:' .. segment)
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
call('HSET', LEDGER, 'expire_at', math.max(tonumber(call('HGET', LEDGER, 'expire_at')), expire_in(ttl)))
set_expiry()
