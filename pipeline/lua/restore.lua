-- Rebuild a lost ledger, in the claim of a queued opening.
-- ARGV  1 owner  2 fields and values of the ledger, as JSON  3 tasks  4 settled bitmap, as bytes  5 remaining
-- What is due is found by the next sweep.
-- Returns the state: running | paused | reducing | lost (the claim is another's)
local state, owner = get('state', 'owner')
if owner ~= ARGV[1] or state ~= 'opening' then return 'lost' end
start_generation(tonumber(ARGV[3]))
for field, value in pairs(cjson.decode(ARGV[2])) do call('HSET', LEDGER, field, value) end
local redrive, cancelled, paused = get('redrive', 'cancel', 'paused')
call('SETRANGE', SETTLED, 0, ARGV[4])
call('SET', REMAINING, ARGV[5])
state = paused and 'paused' or 'running'
call('HSET', LEDGER, 'state', state)
if cancelled then start_closing('cancelled', 'cancelled on request') end
if cancelled or redrive or ARGV[5] == '0' then
  start_reduce(0)
  state = 'reducing'
end
keep()
return state
