-- Read all that Redis knows of a batch; the reply is empty without a ledger.
-- @reply fields     hash      of the ledger
-- @reply in_flight  int       tasks
-- @reply remaining  int       tasks
-- @reply now        us
-- @reply series     bytes     counters over time
-- @reply failures   raw_hash  kinds of failure
-- @reply notices    hash
local fields = call('HGETALL', LEDGER)
if #fields == 0 then return {} end
-- Most batches notify nobody.
local notices = {}
for place = 1, #fields, 2 do
  if fields[place] == 'targets' then notices = call('HGETALL', NOTICES) end
end
return {fields, call('ZCARD', INFLIGHT), tonumber(call('GET', REMAINING) or 0), string.format('%d', now),
  call('GET', SERIES) or '', call('HGETALL', FAILURES), notices}
