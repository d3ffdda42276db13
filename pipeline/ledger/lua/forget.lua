-- The objects of a batch are deleted: its id is free.
-- ARGV  1 owner
-- Returns 1, or 0 when the deletion is another's
local state, owner = get('state', 'owner')
if state ~= 'deleting' or owner ~= ARGV[1] then return 0 end
call('DEL', unpack(KEYS))
return 1
