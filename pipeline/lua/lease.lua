-- Take, or renew, the lease of a batch's reduce.
-- ARGV  1 owner  2 generation  3 lease  4 upload id to record ('' leaves it)  5 its key
-- Returns {verdict, upload id recorded before, its key, segment to write ...}: leased | held | closed | unknown
local state, generation, owner, lease_until, upload, upload_key =
  get('state', 'generation', 'owner', 'lease_until', 'upload', 'upload_key')
if not state then return {'unknown', '', ''} end
if state ~= 'reducing' or generation ~= ARGV[2] then return {'closed', '', ''} end
if owner ~= ARGV[1] and owner ~= '' and tonumber(lease_until) > now then return {'held', '', ''} end
call('HSET', LEDGER, 'owner', ARGV[1], 'lease_until', now + ARGV[3])
call('ZADD', DUE, now + ARGV[3], 'r')
if ARGV[4] ~= '' then call('HSET', LEDGER, 'upload', ARGV[4], 'upload_key', ARGV[5]) end
local reply = {'leased', upload or '', upload_key or ''}
for _, duty in ipairs(call('ZRANGE', DUE, 0, -1)) do
  if string.sub(duty, 1, 2) == 's:' then reply[#reply + 1] = tonumber(string.sub(duty, 3)) end
end
keep()
return reply
