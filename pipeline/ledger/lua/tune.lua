-- Change the window or the rate of a batch that has not ended.
-- @arg window   int?     none: it stays
-- @arg rate     number?  calls a second; none: it stays, 0: no limit
-- @reply state  text     '' without a ledger
local state = get('state')
if not state then return '' end
if has_ended(state) or state == 'deleting' then return state end
if window ~= '' then call('HSET', LEDGER, 'window', window) end
if tonumber(rate) == 0 then
  call('HDEL', LEDGER, 'rate', 'paced_at', 'called_at', 'asked_at')
elseif rate ~= '' then
  -- Turns that were reserved at the old rate are void.
  call('HDEL', LEDGER, 'paced_at', 'called_at', 'asked_at')
  call('HSET', LEDGER, 'rate', rate)
end
set_expiry()
return state
