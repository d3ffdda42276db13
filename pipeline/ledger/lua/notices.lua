-- Who is to be told of the batch's end, also where its ledger is lost.
-- Returns {fields and values of the notices, {target whose turn it is ...}}; both empty where it has not ended
local state = get('state')
if state and not has_ended(state) then return {{}, {}} end
local due = due_notices()
return {call('HGETALL', NOTICES), due}
