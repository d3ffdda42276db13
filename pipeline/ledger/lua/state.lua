-- Returns {fields and values of the ledger, in flight, remaining, now, series, kinds of failure and what is kept of each,
--          fields and values of the notices}; empty when there is no such batch
local fields = call('HGETALL', LEDGER)
if #fields == 0 then return {} end
-- Most batches tell nobody.
local notices = {}
for place = 1, #fields, 2 do
  if fields[place] == 'targets' then notices = call('HGETALL', NOTICES) end
end
return {fields, call('ZCARD', INFLIGHT), tonumber(call('GET', REMAINING) or 0), string.format('%d', now),
  call('GET', SERIES) or '', call('HGETALL', FAILURES), notices}
