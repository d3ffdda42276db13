-- Rebuild a lost ledger, in the claim of a queued opening.
-- ARGV  1 owner  2 fields and values of the ledger, as JSON  3 tasks  4 settled bitmap, as bytes  5 remaining
-- What is due is found by the next sweep.
-- Returns the state: running | paused | reducing | lost (the claim is another's)
local state, owner = get('state', 'owner')
if owner ~= ARGV[1] or state ~= 'opening' then return 'lost' end
start_generation(tonumber(ARGV[3]))
for field, value in pairs(cjson.decode(ARGV[2])) do call('HSET', LEDGER, field, value) end
local redrive, cancelled, paused, given_up, tolerated = get('redrive', 'cancel', 'paused', 'given_up', 'tolerated')
call('SETRANGE', SETTLED, 0, ARGV[4])
call('SET', REMAINING, ARGV[5])
state = paused and 'paused' or 'running'
call('HSET', LEDGER, 'state', state)
local stopped = false
if cancelled then
  stopped = true
  start_closing('cancelled', 'cancelled on request')
elseif tolerated and not redrive and tonumber(given_up) > tonumber(tolerated) then
  stopped = true
  start_closing('failed', too_many(given_up, tolerated))
end
if stopped or redrive or ARGV[5] == '0' then
  start_reduce(0)
  state = 'reducing'
end
keep()
return state
