-- A batch in a list of batches; the state is '' without a ledger.
-- @reply state      text
-- @reply function   text
-- @reply items      int?
-- @reply succeeded  int
-- @reply failed     int
-- @reply created    us?
-- @reply ended      us?
return {get('state', 'function', 'batch_size', 'succeeded', 'failed', 'created', 'ended')}
