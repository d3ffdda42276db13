"""Batches that notify targets of their end."""

from typing import Any

from tests.rigs.function.pipeline_bench import PipelineBench, answering
from tests.rigs.openfaas.receivers import Receiver, allow, due_again, notified


def notify_hooks(pipeline: PipelineBench, hooks: Receiver, **settings: Any) -> None:
    """Let the pipeline call `hooks`, and a model function that fails for `bad`."""
    pipeline.serve(answering(lambda text: (422 if text == "bad" else 200, text.upper())))
    allow(pipeline, hooks, **settings)


async def run(pipeline: PipelineBench, *items: str, **options: str) -> dict[str, Any]:
    """Run a batch of these items, by default two, to its end; returns its status."""
    await pipeline.submit_rows(*(items or ("a", "b")), **options)
    await pipeline.deliver_all()
    return await pipeline.status()


async def stored_notices(pipeline: PipelineBench) -> list[tuple[str, int, int | None]]:
    """State, tries and status code of each target, as S3 has them."""
    status = await pipeline.context.records.read_status(pipeline.batch)
    assert status is not None
    return notified(status)


async def sweep_until_notified(pipeline: PipelineBench) -> None:
    """Sweep with every try due at once."""
    for _ in range(6):
        await pipeline.sweep()
        await due_again(pipeline)
