-- A batch in a list of batches. False stands for a field that is not set.
-- @reply state           text
-- @reply model_function  text
-- @reply items           int
-- @reply succeeded       int
-- @reply failed          int
-- @reply created         us
-- @reply ended           us
return {get('state', 'function', 'batch_size', 'succeeded', 'failed', 'created', 'ended')}
