-- The gateway refused these releases: they stay due, soon.
-- ARGV  1 generation  2 epoch  3 backoff  4.. tasks
local state, generation, epoch = get('state', 'generation', 'epoch')
if epoch ~= ARGV[2] or generation ~= ARGV[1] or not is_open(state) then return end
for i = 4, #ARGV do
  call('ZREM', INFLIGHT, ARGV[i])
  if state ~= 'closing' and call('GETBIT', SETTLED, ARGV[i]) == 0 then
    call('ZADD', DUE, now + ARGV[3], 't:' .. ARGV[i])
  end
end
keep()
