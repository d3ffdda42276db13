-- Give up an opening that cannot succeed.
-- ARGV  1 owner  2 reason ('' forgets the batch, so that the id is free again)
-- Returns 1 when the claim was still ours, else 0
local state, owner = get('state', 'owner')
if state ~= 'opening' or owner ~= ARGV[1] then return 0 end
if ARGV[2] == '' then
  call('DEL', unpack(KEYS))
else
  call('HSET', LEDGER, 'state', 'failed', 'reason', ARGV[2], 'ended', now)
  call('DEL', DUE)
  keep()
end
return 1
