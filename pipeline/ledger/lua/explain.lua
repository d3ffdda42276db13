-- Say what an opening or a reduce stumbled over; it is tried again, and what succeeds clears this.
-- ARGV  1 what went wrong  2 owner of a reduce that does not count as begun ('' for none)
local state, owner, excused = get('state', 'owner', 'excused')
if state == 'opening' or state == 'reducing' then call('HSET', LEDGER, 'trouble', ARGV[1]) end
-- Once, however often it is told.
if state == 'reducing' and ARGV[2] ~= '' and owner == ARGV[2] and excused ~= ARGV[2] then
  call('HSET', LEDGER, 'excused', ARGV[2])
  call('HINCRBY', LEDGER, 'begun', -1)
end
