-- Change the window or the rate of a batch that has not ended.
-- ARGV  1 window ('' leaves it)  2 calls a second ('' leaves it, 0 lifts the limit)
-- Returns the state, '' when there is no such batch
local state = get('state')
if not state then return '' end
if has_ended(state) or state == 'deleting' then return state end
if ARGV[1] ~= '' then call('HSET', LEDGER, 'window', ARGV[1]) end
if tonumber(ARGV[2]) == 0 then
  call('HDEL', LEDGER, 'rate', 'paced_at', 'called_at')
elseif ARGV[2] ~= '' then
  -- What the old rate had put off counts no more.
  call('HDEL', LEDGER, 'paced_at', 'called_at')
  call('HSET', LEDGER, 'rate', ARGV[2])
end
keep()
return state
