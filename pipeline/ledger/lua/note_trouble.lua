-- Note why an opening or a reduce did not succeed; it is tried again, and a success clears the note.
-- @arg trouble  text
-- @arg excused  text?  owner of a reduce that is not counted as begun: the fault was not its own
local state, owner, excused_before = get('state', 'owner', 'excused')
if state == 'opening' or state == 'reducing' then call('HSET', LEDGER, 'trouble', trouble) end
-- Once, however often it is called.
if state == 'reducing' and excused ~= '' and owner == excused and excused_before ~= excused then
  call('HSET', LEDGER, 'excused', excused)
  call('HINCRBY', LEDGER, 'begun', -1)
end
