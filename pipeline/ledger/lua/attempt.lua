-- Take the next try to notify a target: nobody else makes one before the lease is over.
-- ARGV  1 the end that is told of, as the notices name it  2 target  3 lease
-- Returns the number of the try, 0 when it is not its turn, or not that end's any more
local state = get('state')
if state and not has_ended(state) then return 0 end
local due_at = call('ZSCORE', DUE, 'n:' .. ARGV[2])
if call('HGET', NOTICES, 'end') ~= ARGV[1] or not due_at or tonumber(due_at) > now then return 0 end
local kept, tries, status, at, since = notice(ARGV[2])
keep_notice(ARGV[2], kept, tries + 1, status, at, since)
call('ZADD', DUE, now + ARGV[3], 'n:' .. ARGV[2])
keep()
return tries + 1
