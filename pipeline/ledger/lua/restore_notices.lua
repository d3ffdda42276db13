-- Recreate the notices of an end where Redis has lost the batch; nothing changes where it has not.
-- @arg ending     text  which end of the batch, as the notices name it
-- @arg redrives   int   before this end
-- @arg ttl        seconds  that the keys of the batch live on
-- @arg targets    json  what is known of each: state, tries, status, time of the last attempt
if get('state') or call('HGET', NOTICES, 'end') == ending then return end
drop_notices()
call('HSET', NOTICES, 'end', ending, 'redrives', redrives, 'expire_at', expire_in(ttl))
for place, known in ipairs(cjson.decode(targets)) do
  write_notice(place - 1, known[1], known[2], known[3], known[4], now)
  if known[1] == 'due' then make_due(place - 1) end
end
set_expiry()
