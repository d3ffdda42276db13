"""Batches that tell others of their end, as the tests of it run them."""

from typing import Any

from tests.rigs.function.pipeline_bench import PipelineBench, answering
from tests.rigs.openfaas.receivers import Receiver, allow, due_again, notified


def hear(pipeline: PipelineBench, hooks: Receiver, **settings: Any) -> None:
    """Let the pipeline call `hooks`, and a model function that fails for `bad`."""
    pipeline.serve(answering(lambda text: (422 if text == "bad" else 200, text.upper())))
    allow(pipeline, hooks, **settings)


async def run(pipeline: PipelineBench, *items: str, **options: str) -> dict[str, Any]:
    """Run a batch of these items, or of two, to its end; returns its status."""
    await pipeline.submit_rows(*(items or ("a", "b")), **options)
    await pipeline.deliver_all()
    return await pipeline.status()


async def kept(pipeline: PipelineBench) -> list[tuple[str, int, int | None]]:
    """Who is told, as S3 has it."""
    status = await pipeline.context.specs.read_status(pipeline.batch)
    assert status is not None
    return notified(status)


async def until_told(pipeline: PipelineBench) -> None:
    """Each turn comes at once, and the sweeps go on."""
    for _ in range(6):
        await pipeline.sweep()
        await due_again(pipeline)
