-- Record what a try to notify a target came to.
-- ARGV  1 the end that was told of  2 target  3 number of the try  4 'delivered', 'refused' or 'undelivered' (for good)
--       5 status it was answered with, 0 for none  6 wait before the next try  7 time after which a target that still
--       refuses is given up
-- Returns {what it is now, target whose turn it is then ...}: delivered | due | undelivered | stale (not that end's any
--         more, told of already, or a later try is under way: nothing changes)
local state = get('state')
local kept, tries, _, _, since = notice(ARGV[2])
if (state and not has_ended(state)) or call('HGET', NOTICES, 'end') ~= ARGV[1] or kept ~= 'due' then return {'stale'} end
local verdict = ARGV[4]
-- A try that was slow may still have delivered; that it failed says nothing of the one that followed it.
if verdict ~= 'delivered' and tonumber(ARGV[3]) ~= tries then return {'stale'} end
if verdict == 'refused' then verdict = now - since >= tonumber(ARGV[7]) and 'undelivered' or 'due' end
keep_notice(ARGV[2], verdict, tries, ARGV[5], now, since)
local reply = {verdict}
if verdict == 'due' then
  call('ZADD', DUE, now + ARGV[6], 'n:' .. ARGV[2])
else
  call('ZREM', DUE, 'n:' .. ARGV[2])
  for target = 0, call('HLEN', NOTICES) - 1 do
    if notice(target) == 'held' then
      make_due(target)
      reply[#reply + 1] = target
    end
  end
end
keep()
return reply
