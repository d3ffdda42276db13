-- The gateway refused these releases: they stay due, soon.
-- ARGV  1 generation  2 backoff  3.. tasks
local state, generation = get('state', 'generation')
if generation ~= ARGV[1] or not is_open(state) then return 0 end
for i = 3, #ARGV do
  call('ZREM', INFLIGHT, ARGV[i])
  if state ~= 'closing' and call('GETBIT', SETTLED, ARGV[i]) == 0 then
    call('ZADD', DUE, now + ARGV[2], 't:' .. ARGV[i])
  end
end
keep()
return #ARGV - 2
