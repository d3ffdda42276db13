-- Stop releasing: what is in flight settles, then the reduce writes the outputs with what there is.
-- @arg duty_lease    us    after which others may take over what this hands out
-- @reply state       text  before, '' without a ledger; 'cancelled' also while the reduce of a cancelled batch runs
-- @reply generation  int
-- @reply segment     int?  to write
-- @reply reduce      flag  1: the reduce is to be started
local state, generation, pending, outcome = get('state', 'generation', 'pending', 'outcome')
if not state then return {'', '0', false, 0} end
if state == 'reducing' and outcome ~= 'failed' then
  -- Nothing runs now: this stops the next generation.
  call('HSET', LEDGER, 'outcome', 'cancelled', 'reason', 'cancelled on request')
  state = 'cancelled'
end
-- Missing objects are not waited for any longer.
call('ZADD', DUE, 'XX', now, 'm')
local reply = {state, generation, false, 0}
if state == 'opening' then
  call('HSET', LEDGER, 'cancel', 1)
elseif state == 'running' or state == 'paused' then
  start_closing('cancelled', 'cancelled on request')
  if call('ZCARD', INFLIGHT) == 0 then
    local lease = tonumber(duty_lease)
    if tonumber(pending) > 0 then reply[3] = cut_segment(lease) end
    start_reduce(lease)
    reply[4] = 1
  end
end
set_expiry()
return reply
