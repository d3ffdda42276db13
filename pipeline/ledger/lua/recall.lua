-- Make the notices of an end again, where Redis has lost the batch; nothing where it has not.
-- ARGV  1 the end that is told of  2 expire_at  3 what is known of each target, as JSON: state, tries, status, tried at
if get('state') or call('HGET', NOTICES, 'end') == ARGV[1] then return end
drop_notices()
call('HSET', NOTICES, 'end', ARGV[1], 'expire_at', ARGV[2])
for place, known in ipairs(cjson.decode(ARGV[3])) do
  keep_notice(place - 1, known[1], known[2], known[3], known[4], now)
  if known[1] == 'due' then make_due(place - 1) end
end
keep()
