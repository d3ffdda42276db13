-- Say what an opening or a reduce stumbled over; it is tried again, and what succeeds clears this.
-- ARGV  1 what went wrong
local state = get('state')
if state ~= 'opening' and state ~= 'reducing' then return 0 end
call('HSET', LEDGER, 'trouble', ARGV[1])
return 1
