-- Take the next attempt to notify a target: nobody else makes one before the lease is over.
-- @arg ending          text  which end of the batch, as the notices name it
-- @arg target          int
-- @arg delivery_lease  us
-- @reply number        int   of the attempt, 0 when it is not the target's turn, or the end is another one
local state = get('state')
if state and not has_ended(state) then return 0 end
local due_at = call('ZSCORE', DUE, 'n:' .. target)
if call('HGET', NOTICES, 'end') ~= ending or not due_at or tonumber(due_at) > now then return 0 end
local target_state, tries, status, at, since = read_notice(target)
write_notice(target, target_state, tries + 1, status, at, since)
call('ZADD', DUE, now + delivery_lease, 'n:' .. target)
set_expiry()
return tries + 1
