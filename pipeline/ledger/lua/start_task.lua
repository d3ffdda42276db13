-- A message has brought a task: lease its run, so that the same message, delivered again, runs nothing meanwhile.
-- @arg generation  int
-- @arg task        int
-- @arg attempt     int
-- @arg epoch       text
-- @arg run_lease   us     the run has ended by then
-- @reply verdict   text   run | settled (already) | running (this attempt or a later one) | closed | unknown (no ledger)
-- @reply paced     flag   it has a rate
-- @reply answered  flag   the model function has answered in this run: it exists
local state, current_generation, current_epoch, rate, not_found, base
  = get('state', 'generation', 'epoch', 'rate', 'not_found', 'base')
if not state then return {'unknown'} end
if current_epoch ~= epoch or current_generation ~= generation or not accepts_answers(state) then return {'closed'} end
local function count_repeated(verdict)
  call('HINCRBY', LEDGER, 'repeated', 1)
  return {verdict}
end
if call('GETBIT', SETTLED, task) == 1 then return count_repeated('settled') end
local running, lease_until = unpack(call('HMGET', ATTEMPTS, 'a:' .. task, 'r:' .. task))
if running and tonumber(lease_until) > now and tonumber(running) >= tonumber(attempt) then
  -- This message is acknowledged now, and the replica of the first run may be dead: the task is looked at again.
  if state ~= 'closing' then
    call('ZADD', DUE, lease_until, 'l:' .. task)
    set_expiry()
  end
  return count_repeated('running')
end
if state == 'closing' then return {'closed'} end
call('HSET', ATTEMPTS, 'a:' .. task, attempt, 'r:' .. task, string.format('%d', now + run_lease))
-- The key may be new.
if call('HLEN', ATTEMPTS) == 2 then set_expiry() end
return {'run', rate, (tonumber(not_found) < 0 or current_generation ~= base) and 1 or 0}
