-- Returns {state, generation, epoch, calls a second}, each false where it is not set.
return {get('state', 'generation', 'epoch', 'rate')}
