-- Delete the ledger of an earlier batch of the same id.
-- @arg epoch  text  of that batch: another one's ledger stays
if get('epoch') == epoch then call('DEL', unpack(KEYS)) end
