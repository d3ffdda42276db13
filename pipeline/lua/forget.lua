-- The objects of a batch are deleted: its id is free.
if get('state') ~= 'deleting' then return 0 end
call('DEL', unpack(KEYS))
return 1
