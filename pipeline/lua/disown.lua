-- Forget the ledger of an earlier life of an id.
-- ARGV  1 epoch
if get('epoch') ~= ARGV[1] then return 0 end
return call('DEL', unpack(KEYS))
