-- Segment n is in S3: drop its outcomes and its duty, and push the batch's expiry on.
-- ARGV  1 generation  2 segment  3 expire_at
local generation = get('generation')
if generation ~= ARGV[1] then return 0 end
call('DEL', OUTCOMES .. ':' .. ARGV[2])
call('ZREM', DUE, 's:' .. ARGV[2])
call('HSET', LEDGER, 'expire_at', math.max(tonumber(call('HGET', LEDGER, 'expire_at')), tonumber(ARGV[3])))
keep()
return 1
