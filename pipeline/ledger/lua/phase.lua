-- Where a batch stands. False stands for a field that is not set.
-- @reply state       text
-- @reply generation  int
-- @reply epoch       text
-- @reply rate        number  calls a second
return {get('state', 'generation', 'epoch', 'rate')}
