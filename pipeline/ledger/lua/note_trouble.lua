-- Note why an opening or a reduce did not succeed; it is tried again, and a success clears the note.
-- @arg owner    text  who holds the claim, or the lease of the reduce
-- @arg trouble  text
-- @arg excused  flag  1: the fault was not the reduce's own, which does not count as begun
local state, current_owner, excused_before = get('state', 'owner', 'excused')
if (state ~= 'opening' and state ~= 'reducing') or current_owner ~= owner then return end
call('HSET', LEDGER, 'trouble', trouble)
-- Once, however often it is called.
if state == 'reducing' and excused == '1' and excused_before ~= owner then
  call('HSET', LEDGER, 'excused', owner)
  call('HINCRBY', LEDGER, 'begun', -1)
end
