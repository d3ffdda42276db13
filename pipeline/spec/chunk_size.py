"""How many items a task takes."""

from pipeline.settings.environment import Settings
from pipeline.spec.batch_spec import BatchSpec
from pipeline.spec.field_rules import TURNS

# As many as a window holds by default: more of them never ran at once. A call of a whole chunk is as good as its items
# are many, and a few dozen are more than the queue-workers that most clusters have.
AUTO_TASKS = 128
AUTO_CALLS = 32
AUTO_CHUNK = 100


def chosen_chunk(items: int, spec: BatchSpec, settings: Settings) -> int:
    """Return the items a task for so many of them."""
    return auto_chunk(items, spec, settings) if spec.chunk == "auto" else spec.chunk


def auto_chunk(items: int, spec: BatchSpec, settings: Settings) -> int:
    """Choose a chunk that gives about 128 tasks, or 32 that are one call each, of at most 100 items.

    Items that run side by side never need more time than their task has, even if every call takes its whole timeout.
    """
    chunk = min(AUTO_CHUNK, -(-items // (AUTO_CALLS if spec.chunk_call else AUTO_TASKS)))
    if not spec.chunk_call:
        rounds = int(settings.task_timeout // min(spec.timeout, settings.task_timeout))
        chunk = min(chunk, spec.concurrency * rounds)
        if spec.rate:
            chunk = min(chunk, int(spec.rate * TURNS * settings.task_timeout))
    return max(1, chunk)
