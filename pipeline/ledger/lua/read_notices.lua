-- Read the notices of a batch's end, also where Redis has lost its ledger. Both lists are empty before the end.
-- @reply fields  hash  fields and values
-- @reply due     ints  targets that are due
local state = get('state')
if state and not has_ended(state) then return {{}, {}} end
local due = due_notices()
return {call('HGETALL', NOTICES), due}
