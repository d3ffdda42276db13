-- Where a batch stands; the state is '' without a ledger.
-- @reply state       text
-- @reply generation  int
-- @reply epoch       text
-- @reply paced       flag  it has a rate
return {get('state', 'generation', 'epoch', 'rate')}
