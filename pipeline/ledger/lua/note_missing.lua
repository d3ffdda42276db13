-- Note objects that an open batch needs and that are not in the bucket. They are looked for once more, after a while.
-- @arg objects   text  separated by spaces
-- @arg patience  us
local state, missing = get('state', 'missing')
if not state or has_ended(state) or state == 'deleting' or missing then return end
call('HSET', LEDGER, 'missing', objects)
call('ZADD', DUE, now + patience, 'm')
set_expiry()
