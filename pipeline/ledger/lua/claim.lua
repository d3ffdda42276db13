-- Claim a batch id for its opening, or renew the claim.
-- ARGV  1 owner  2 digest of spec and input  3 claim lease  4 expire_at  5 window
--       6 function  7 'queued' when called by a queued opening, 'renewed' when the claim is, else 'new'
--       8 '1' when the claim is handed on to a queued opening  9 calls a second ('' for any number)
--       10 seconds that a released task may wait for its turn to call
--       11 fields and values that a batch starts with which Redis had forgotten, as JSON
--       12 the epoch that this one follows, as a number: Redis' clock may be behind
--       13 how many are told of the end  14 '1' when the first of them reduces, and the others follow it
--       15 what is shown of them, as JSON
-- Returns {verdict, epoch}: claimed | exists | conflict | deleting | unknown (the batch is gone, and the claim not new)
local state, digest, owner, lease_until, handed, epoch =
  get('state', 'digest', 'owner', 'lease_until', 'handed', 'epoch')
local queued = ARGV[7] == 'queued'
if not state then
  if ARGV[7] ~= 'new' then return {'unknown', ''} end
  epoch = string.format('%x', math.max(now, ARGV[12] + 1))
  call('HSET', LEDGER, 'schema', 1, 'state', 'opening', 'digest', ARGV[2], 'window', ARGV[5], 'function', ARGV[6],
    'created', now, 'epoch', epoch, 'expire_at', ARGV[4],
    'generation', 0, 'outcome', 'done', 'succeeded', 0, 'failed', 0, 'retried', 0, 'ahead', ARGV[10])
  -- Not before the first write that Redis refuses when it is out of memory.
  call('DEL', SERIES, FAILURES)
  if ARGV[9] ~= '' then call('HSET', LEDGER, 'rate', ARGV[9]) end
  if ARGV[13] ~= '0' then call('HSET', LEDGER, 'targets', ARGV[13], 'shown', ARGV[15]) end
  if ARGV[14] == '1' then call('HSET', LEDGER, 'reduces', 1) end
  for field, value in pairs(cjson.decode(ARGV[11])) do call('HSET', LEDGER, field, value) end
  if tonumber(get('rate') or 1) == 0 then call('HDEL', LEDGER, 'rate') end
elseif state == 'deleting' then
  return {'deleting', epoch}
elseif digest ~= ARGV[2] then
  return {'conflict', epoch}
elseif state ~= 'opening' or (tonumber(lease_until) > now and not (queued and handed == '1') and owner ~= ARGV[1]) then
  return {'exists', epoch}
end
if queued then call('HINCRBY', LEDGER, 'openings', 1) end
call('HSET', LEDGER, 'owner', ARGV[1], 'lease_until', now + ARGV[3], 'handed', ARGV[8])
call('ZADD', DUE, now + ARGV[3], 'o')
keep()
return {'claimed', epoch}
