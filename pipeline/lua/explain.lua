-- Say what an opening or a reduce stumbled over; it is tried again, and what succeeds clears this.
-- ARGV  1 what went wrong
local state = get('state')
if state == 'opening' or state == 'reducing' then call('HSET', LEDGER, 'trouble', ARGV[1]) end
