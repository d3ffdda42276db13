-- Take an ended batch, or one that Redis has forgotten, to be deleted: nothing else is done with it from now on.
-- ARGV  1 duty lease  2 expire_at
-- Returns the state before, '' when Redis had forgotten it; 'deleting' when another began it
local state = get('state')
if state and not has_ended(state) and state ~= 'deleting' then return state end
-- What the other scripts take for granted.
if not state then
  call('HSET', LEDGER, 'schema', 1, 'epoch', string.format('%x', now), 'function', '', 'generation', 0)
end
call('HSET', LEDGER, 'state', 'deleting', 'expire_at', ARGV[2])
call('ZADD', DUE, now + ARGV[1], 'd')
keep()
return state or ''
