-- Run the failed items of an ended batch again: its reduce is due once more, and begins the next generation.
-- ARGV  1 duty lease  2 when it ended, where only that end is meant ('' for any)
-- Returns {state before, generation, verdict}: redriven | under way (asked before) | open (it has not ended)
--         | unopened (it never began); state '' when there is no such batch
local state, generation, redrive, base, started = get('state', 'generation', 'redrive', 'base', 'started')
if not state then return {'', '0', 'unknown'} end
if not has_ended(state) or (ARGV[2] ~= '' and ARGV[2] ~= get('ended')) then
  local asked = state ~= 'deleting' and (redrive or (base or '0') ~= '0')
  return {state, generation, asked and 'under way' or 'open'}
end
if not started then return {state, generation, 'unopened'} end
local expire_at, ended = get('expire_at', 'ended')
call('HSET', LEDGER, 'state', 'reducing', 'outcome', 'done', 'redrive', 1, 'owner', '', 'lease_until', 0,
  'expire_at', expire_at + math.ceil((now - ended) / 1000000))
call('HDEL', LEDGER, 'trouble', 'ended', 'cancel', 'paused', 'outputs', 'notes', 'sql')
drop_notices()
call('ZADD', DUE, now + ARGV[1], 'r')
keep()
return {state, generation, 'redriven'}
