"""Look at batches and steer them."""

from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from pipeline.cli.command import Exit, Setup, code_of
from pipeline.cli.show import show_briefs, show_progress
from pipeline.cli.watch import BatchId, Watch, follow
from pipeline.client import Batch

Window = Annotated[int | None, typer.Option(help="Tasks in the queue or under way, at most.")]
Rate = Annotated[float | None, typer.Option(help="Calls to the model function a second; 0 lifts the limit.")]


async def status(setup: Setup, batch_id: BatchId, *, watch: Watch = False) -> Exit:
    """Say how far a batch is; 1 when it has ended and an item failed, or it is not `done`."""
    async with setup.pipeline() as pipeline:
        batch = pipeline.batch(batch_id)
        if watch:
            return await follow(setup, batch)
        progress = await batch.status()
        if setup.as_json:
            setup.document(progress)
        else:
            show_progress(setup.out, progress)
        return code_of(progress)


async def list_batches(setup: Setup) -> Exit:
    """List the open batches, oldest first, and those that ended lately, newest first."""
    async with setup.pipeline() as pipeline:
        found = await pipeline.list()
    if setup.as_json:
        setup.document(found)
    elif found.open or found.ended:
        show_briefs(setup.out, [*found.open, *found.ended])
    else:
        setup.show("There are no batches.")
    return Exit.DONE


async def cancel(setup: Setup, batch_id: BatchId) -> Exit:
    """Stop a batch: what is in flight settles, and the summary is written with what there is."""
    return await _steer(setup, batch_id, lambda batch: batch.cancel(), "is being cancelled")


async def pause(setup: Setup, batch_id: BatchId) -> Exit:
    """Release nothing more of a batch until it is resumed; its deadline goes on."""
    return await _steer(setup, batch_id, lambda batch: batch.pause(), "is paused")


async def resume(setup: Setup, batch_id: BatchId) -> Exit:
    """Let a paused batch go on."""
    return await _steer(setup, batch_id, lambda batch: batch.resume(), "goes on")


async def tune(setup: Setup, batch_id: BatchId, *, window: Window = None, rate: Rate = None) -> Exit:
    """Change the window or the rate of a batch while it runs."""
    if window is None and rate is None:
        raise typer.BadParameter("there is nothing to change: give --window or --rate")
    return await _steer(setup, batch_id, lambda batch: batch.tune(window=window, rate=rate), "is tuned")


async def redrive(setup: Setup, batch_id: BatchId, *, watch: Watch = False) -> Exit:
    """Run what failed or never ran of an ended batch again."""
    async with setup.pipeline() as pipeline:
        batch = pipeline.batch(batch_id)
        redriven = await batch.redrive()
        # With --watch the updates are all of the output.
        if setup.as_json and not watch:
            setup.document({"batch_id": batch.id, "redriven": redriven})
        elif not setup.as_json:
            setup.show(f"Batch {batch.id} {'runs again' if redriven else 'has nothing that failed'}.")
        return await follow(setup, batch) if watch else Exit.DONE


async def delete(setup: Setup, batch_id: BatchId) -> Exit:
    """Delete an ended batch, its summary and all its other objects; an input under a key of yours stays."""
    async with setup.pipeline() as pipeline:
        deleted = await pipeline.batch(batch_id).delete()
    if setup.as_json:
        setup.document({"batch_id": batch_id, "deleted": deleted})
    else:
        setup.show(f"Batch {batch_id} {'is deleted' if deleted else 'is being deleted'}.")
    return Exit.DONE


async def _steer(setup: Setup, batch_id: str, action: Callable[[Batch], Awaitable[None]], outcome: str) -> Exit:
    async with setup.pipeline() as pipeline:
        await action(pipeline.batch(batch_id))
    if setup.as_json:
        setup.document({"batch_id": batch_id, "accepted": True})
    else:
        setup.show(f"Batch {batch_id} {outcome}.")
    return Exit.DONE
