-- Forget the ledger of an earlier life of an id.
-- ARGV  1 epoch
if get('epoch') == ARGV[1] then call('DEL', unpack(KEYS)) end
