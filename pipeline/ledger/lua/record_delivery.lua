-- Record the result of an attempt to notify a target.
-- @arg ending    text  which end of the batch, as the notices name it
-- @arg target    int
-- @arg number    int   of the attempt
-- @arg verdict   text  delivered | refused | undelivered (never to be tried again)
-- @arg status    int   of the target's answer, 0 for none
-- @arg backoff   us    before the next attempt
-- @arg patience  us    a target that still refuses after this time is given up
-- @reply state   text  of the target: delivered | due | undelivered; or stale, when nothing changed: another end,
--                      delivered already, or a later attempt is under way
-- @reply ...due  int   targets that are due now
local state = get('state')
local target_state, tries, _, _, since = read_notice(target)
if state and not has_ended(state) then return {'stale'} end
if call('HGET', NOTICES, 'end') ~= ending or target_state ~= 'due' then return {'stale'} end
-- A slow attempt may still have delivered; its failure says nothing about the one that followed it.
if verdict ~= 'delivered' and tonumber(number) ~= tries then return {'stale'} end
local new_state = verdict
if verdict == 'refused' then new_state = now - since >= tonumber(patience) and 'undelivered' or 'due' end
write_notice(target, new_state, tries, status, now, since)
local reply = {new_state}
if new_state == 'due' then
  call('ZADD', DUE, now + backoff, 'n:' .. target)
else
  call('ZREM', DUE, 'n:' .. target)
  for other = 0, call('HLEN', NOTICES) - 1 do
    if read_notice(other) == 'held' then
      make_due(other)
      reply[#reply + 1] = other
    end
  end
end
set_expiry()
return reply
