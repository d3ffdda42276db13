"""How a generation is cut into tasks, and what the ledger has to know of it."""

from pipeline.ledger.arguments import NewGeneration
from pipeline.spec.batch_spec import BatchSpec
from pipeline.store.snapshot import Manifest


def plan(spec: BatchSpec, number: int, base: int, manifest: Manifest, chunk: int, batch_size: int) -> NewGeneration:
    """Return what a generation begins with; `base` is the one that the submission or the redrive began with."""
    return NewGeneration(
        number,
        tasks=manifest.tasks,
        items=manifest.items,
        deadline=spec.deadline,
        calls=spec.calls(chunk),
        final=is_final(number, base, spec),
        tolerated=spec.tolerated(batch_size),
    )


def is_final(generation: int, base: int, spec: BatchSpec) -> bool:
    """Say whether this generation is the last that begins by itself."""
    return generation - base + 1 >= spec.attempts
