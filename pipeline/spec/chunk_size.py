"""How many items a task has."""

from pipeline.settings.environment import Settings
from pipeline.spec.batch_spec import BatchSpec
from pipeline.spec.field_rules import RATE_SHARE

# The default window: more tasks would not run at once.
AUTO_TASKS = 128
# With one call per task larger tasks are better, and few clusters have more queue-workers than this.
AUTO_CALLS = 32
AUTO_CHUNK = 100


def chosen_chunk(items: int, spec: BatchSpec, settings: Settings) -> int:
    """Return the items per task of a batch with this many items."""
    return auto_chunk(items, spec, settings) if spec.chunk == "auto" else spec.chunk


def auto_chunk(items: int, spec: BatchSpec, settings: Settings) -> int:
    """Choose a chunk of at most 100 items that makes about 128 tasks, or 32 if a task is one call.

    A task can finish in time even if every call takes its whole timeout.
    """
    chunk = min(AUTO_CHUNK, -(-items // (AUTO_CALLS if spec.chunk_call else AUTO_TASKS)))
    if not spec.chunk_call:
        rounds = int(settings.task_timeout // min(spec.timeout, settings.task_timeout))
        chunk = min(chunk, spec.concurrency * rounds)
        if spec.rate:
            chunk = min(chunk, int(spec.rate * RATE_SHARE * settings.task_timeout))
    return max(1, chunk)
