-- Reserve the turn of one call to the model function, evenly spaced by the batch's rate.
-- @arg longest  us   the longest wait
-- @reply wait   us?  until the turn, 0 without a rate; none: the turn would come too late, and is not reserved
local rate, called_at, asked_at = get('rate', 'called_at', 'asked_at')
if not rate then return 0 end
-- The clock may have been set back since the last call came for its turn: turns count from now on.
local set_back = math.max(0, (asked_at or 0) - now)
local turn = math.max((called_at or 0) - set_back, now)
if turn - now > tonumber(longest) then
  if set_back > 0 then call('HSET', LEDGER, 'called_at', turn, 'asked_at', now) end
  return false
end
call('HSET', LEDGER, 'called_at', turn + 1000000 / rate, 'asked_at', now)
return turn - now
