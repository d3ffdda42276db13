-- Reserve the turn of one call to the model function, evenly spaced by the batch's rate.
-- @arg longest  us   the longest wait
-- @reply wait   us?  until the turn, 0 without a rate; none: the turn would come too late, and is not reserved
local rate, called_at = get('rate', 'called_at')
if not rate then return 0 end
local turn = math.max(tonumber(called_at or 0), now)
if turn - now > tonumber(longest) then return false end
call('HSET', LEDGER, 'called_at', turn + 1000000 / rate)
return turn - now
