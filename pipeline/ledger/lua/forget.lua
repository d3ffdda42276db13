-- The objects of a batch are deleted: its id is free.
-- @arg owner        text  who holds the lease of the deletion
-- @reply forgotten  flag  0 when another holds the lease
local state, current_owner = get('state', 'owner')
if state ~= 'deleting' or current_owner ~= owner then return 0 end
call('DEL', unpack(KEYS))
return 1
