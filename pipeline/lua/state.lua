-- Returns {fields and values of the ledger ..., in flight, remaining, now}; empty when there is no such batch
local fields = call('HGETALL', LEDGER)
if #fields == 0 then return {} end
fields[#fields + 1] = call('ZCARD', INFLIGHT)
fields[#fields + 1] = tonumber(call('GET', REMAINING) or 0)
fields[#fields + 1] = string.format('%d', now)
return fields
