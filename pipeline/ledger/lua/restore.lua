-- Rebuild a lost ledger, under the claim of a queued opening. The next sweep finds what is due.
-- @arg owner      text   who holds the claim
-- @arg fields     json   fields and values of the ledger
-- @arg tasks      int    of the current generation
-- @arg settled    bytes  bitmap of those that are settled
-- @arg remaining  int    how many are not
-- @reply state    text   running | paused | reducing | lost (another holds the claim)
local state, current_owner = get('state', 'owner')
if current_owner ~= owner or state ~= 'opening' then return 'lost' end
start_generation(tonumber(tasks))
for field, value in pairs(cjson.decode(fields)) do call('HSET', LEDGER, field, value) end
local redrive, cancelled, paused, given_up, tolerated = get('redrive', 'cancel', 'paused', 'given_up', 'tolerated')
call('SETRANGE', SETTLED, 0, settled)
call('SET', REMAINING, remaining)
state = paused and 'paused' or 'running'
call('HSET', LEDGER, 'state', state)
local stopped = false
if cancelled then
  stopped = true
  start_closing('cancelled', 'cancelled on request')
elseif tolerated and not redrive and tonumber(given_up) > tonumber(tolerated) then
  stopped = true
  start_closing('failed', too_many_failed(given_up, tolerated))
end
if stopped or redrive or remaining == '0' then
  start_reduce(0)
  state = 'reducing'
end
set_expiry()
return state
