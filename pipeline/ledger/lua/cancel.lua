-- Stop releasing; what is in flight settles, then the summary is written with what there is.
-- ARGV  1 duty lease
-- Returns {state before, generation, segment or -1, reduce 0 or 1}; state '' when there is no such batch, 'cancelled'
--         also while its reduce is under way
local state, generation, pending, outcome = get('state', 'generation', 'pending', 'outcome')
if not state then return {'', '0', -1, 0} end
if state == 'reducing' and outcome ~= 'failed' then
  -- Nothing runs now; what this stops is the next generation.
  call('HSET', LEDGER, 'outcome', 'cancelled', 'reason', 'cancelled on request')
  state = 'cancelled'
end
local reply = {state, generation, -1, 0}
if state == 'opening' then
  call('HSET', LEDGER, 'cancel', 1)
elseif state == 'running' or state == 'paused' then
  start_closing('cancelled', 'cancelled on request')
  if call('ZCARD', INFLIGHT) == 0 then
    local lease = tonumber(ARGV[1])
    if tonumber(pending) > 0 then reply[3] = cut_segment(lease) end
    start_reduce(lease)
    reply[4] = 1
  end
end
keep()
return reply
