-- Returns {state, function, items, succeeded, failed, created, ended}, each false where it is not set.
return {get('state', 'function', 'batch_size', 'succeeded', 'failed', 'created', 'ended')}
