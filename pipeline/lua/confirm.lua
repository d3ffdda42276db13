-- The gateway took these releases: they are no longer due.
-- ARGV  tasks
for _, task in ipairs(ARGV) do call('ZREM', DUE, 't:' .. task) end
return #ARGV
