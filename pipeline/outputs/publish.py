"""Publish the outputs of a generation as those of its batch."""

from collections.abc import Mapping

from pipeline.batch.reduce_job import ReduceJob
from pipeline.concurrency import task_group
from pipeline.ledger.states import ENDED
from pipeline.store import keys
from pipeline.store.keys import CONTENT_TYPES
from pipeline.store.object_info import ObjectInfo


async def publish(job: ReduceJob, outputs: Mapping[str, ObjectInfo], summary: ObjectInfo) -> bool:
    """Publish these outputs, by name, and return whether this reduce still holds the lease.

    A reduce that loses its lease meanwhile, to one that has ended the batch, publishes the outputs of that one again.
    Raises as the store.
    """
    if not await job.is_leased():
        return False
    await _replace(job, outputs, summary)
    if await job.is_leased():
        return True
    phase = await job.context.ledger.phase(job.batch)
    if phase is not None and phase.state in ENDED:
        await _publish_again(job, phase.generation)
    return False


async def _publish_again(job: ReduceJob, generation: int) -> None:
    """Publish the outputs that a generation has in S3."""
    store, batch = job.context.store, job.batch
    sizes = await store.sizes(keys.generation_output.folder(batch, generation))
    parsed = [(keys.generation_output.parse(key), ObjectInfo(key, "", size)) for key, size in sizes]
    outputs = {parts["name"]: info for parts, info in parsed if parts}
    await _replace(job, outputs, await store.head(keys.generation_summary(batch, generation)))


async def _replace(job: ReduceJob, outputs: Mapping[str, ObjectInfo], summary: ObjectInfo) -> None:
    """Delete the published outputs that are not among these, and publish these, the summary last."""
    store, batch = job.context.store, job.batch
    await store.delete_many([keys.output(batch, name) for name in CONTENT_TYPES if name not in outputs])
    async with task_group() as group:
        for name, info in outputs.items():
            group.create_task(store.copy(info, keys.output(batch, name), CONTENT_TYPES[name]))
    await store.copy(summary, keys.summary(batch))
