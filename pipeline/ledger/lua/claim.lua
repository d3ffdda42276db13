-- Claim a batch id for its opening, or renew the claim: that takes none over.
-- @arg owner           text
-- @arg digest          text     of specification and input: the same submission has the same
-- @arg claim_lease     us
-- @arg ttl             seconds  that the keys of the batch live
-- @arg window          int      tasks in flight at most
-- @arg model_function  text
-- @arg kind            text     new | queued (by a queued opening) | renewed
-- @arg hand_on         flag     1: a queued opening may take the claim over at once
-- @arg rate            number?  calls a second
-- @arg ahead           seconds  that a released task may wait for its turn to call
-- @arg requested       json     fields and values that people had set, of a batch that Redis has lost
-- @arg epoch_before    int      the new epoch is greater: Redis' clock may be behind
-- @arg targets         int      how many are notified of the end
-- @arg reduces         flag     1: the first target reduces, and the others follow it
-- @arg shown           json     what people see of the targets
-- @reply verdict       text     claimed | exists | conflict | deleting | unknown (no ledger, and the claim is not new)
-- @reply epoch         text     of the batch, '' when unknown
local state, current_digest, current_owner, lease_until, handed, epoch =
  get('state', 'digest', 'owner', 'lease_until', 'handed', 'epoch')
local queued = kind == 'queued'
if not state then
  if kind ~= 'new' then return {'unknown', ''} end
  epoch = string.format('%x', math.max(now, epoch_before + 1))
  call('HSET', LEDGER, 'schema', 1, 'state', 'opening', 'digest', digest, 'window', window, 'function', model_function,
    'created', now, 'epoch', epoch, 'expire_at', expire_in(ttl),
    'generation', 0, 'outcome', 'done', 'succeeded', 0, 'failed', 0, 'retried', 0, 'ahead', ahead)
  -- After the first write, which Redis refuses when it is out of memory.
  call('DEL', SERIES, FAILURES)
  if rate ~= '' then call('HSET', LEDGER, 'rate', rate) end
  if targets ~= '0' then call('HSET', LEDGER, 'targets', targets, 'shown', shown) end
  if reduces == '1' then call('HSET', LEDGER, 'reduces', 1) end
  for field, value in pairs(cjson.decode(requested)) do call('HSET', LEDGER, field, value) end
  if tonumber(get('rate') or 1) == 0 then call('HDEL', LEDGER, 'rate') end
elseif state == 'deleting' then
  return {'deleting', epoch}
elseif current_digest ~= digest then
  return {'conflict', epoch}
elseif state ~= 'opening' or (kind == 'renewed' and current_owner ~= owner) or
  (is_leased(lease_until, claim_lease) and not (queued and handed == '1') and current_owner ~= owner) then
  return {'exists', epoch}
end
if queued then call('HINCRBY', LEDGER, 'openings', 1) end
call('HSET', LEDGER, 'owner', owner, 'lease_until', now + claim_lease, 'handed', hand_on)
call('ZADD', DUE, now + claim_lease, 'o')
set_expiry()
return {'claimed', epoch}
