-- The gateway refused these releases: they stay due, and are released again later.
-- @arg generation  int
-- @arg epoch       text
-- @arg backoff     us    before the next release
-- @rest tasks      int
local state, current_generation, current_epoch = get('state', 'generation', 'epoch')
if current_epoch ~= epoch or current_generation ~= generation or not accepts_answers(state) then return end
for _, task in ipairs(tasks) do
  call('ZREM', INFLIGHT, task)
  if state ~= 'closing' and call('GETBIT', SETTLED, task) == 0 then
    call('ZADD', DUE, now + backoff, 't:' .. task)
  end
end
-- The queue may have been restarted, and may have lost what it held.
if state == 'running' then
  call('HSET', LEDGER, 'doubt_at', now)
  call('HDEL', LEDGER, 'proven_at')
end
set_expiry()
