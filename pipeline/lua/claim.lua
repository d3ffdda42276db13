-- Claim a batch id for its opening, or renew the claim.
-- ARGV  1 owner  2 digest of spec and input  3 claim lease  4 expire_at  5 window
--       6 function  7 '1' when called by a queued opening
--       8 '1' when the claim is handed on to a queued opening
-- Returns {verdict, state}: claimed | exists | conflict | unknown (a queued opening of a batch that is gone)
local state, digest, owner, lease_until, handed = get('state', 'digest', 'owner', 'lease_until', 'handed')
local queued = ARGV[7] == '1'
if not state then
  if queued then return {'unknown', ''} end
  call('HSET', LEDGER, 'schema', 1, 'state', 'opening', 'digest', ARGV[2], 'window', ARGV[5], 'function', ARGV[6],
    'created', now, 'epoch', string.format('%x', now), 'expire_at', ARGV[4],
    'generation', 0, 'outcome', 'done', 'succeeded', 0, 'failed', 0, 'retried', 0)
elseif digest ~= ARGV[2] then
  return {'conflict', state}
elseif state ~= 'opening' or (tonumber(lease_until) > now and not (queued and handed == '1') and owner ~= ARGV[1]) then
  return {'exists', state}
end
if queued then call('HINCRBY', LEDGER, 'openings', 1) end
call('HSET', LEDGER, 'owner', ARGV[1], 'lease_until', now + ARGV[3], 'handed', ARGV[8])
call('ZADD', DUE, now + ARGV[3], 'o')
keep()
return {'claimed', 'opening'}
