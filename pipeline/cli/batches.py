"""Read the status of batches and control them."""

from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from pipeline.cli.command import Exit, Setup, exit_of_batch
from pipeline.cli.show import show_briefs, show_progress
from pipeline.cli.watch import BatchId, Watch, follow
from pipeline.client import Batch
from pipeline.spec.batch_spec import BatchSpec

Window = Annotated[int | None, typer.Option(help=BatchSpec.model_fields["window"].description)]
Rate = Annotated[float | None, typer.Option(help=f"{BatchSpec.model_fields['rate'].description} 0 is no limit.")]


async def status(setup: Setup, batch_id: BatchId, *, watch: Watch = False) -> Exit:
    """Show the progress of a batch; exits with 1 if it has ended with failed items or is not `done`."""
    async with setup.pipeline() as pipeline:
        batch = pipeline.batch(batch_id)
        if watch:
            return await follow(setup, batch)
        progress = await batch.status()
        if setup.as_json:
            setup.print_json(progress)
        else:
            show_progress(setup.out, progress)
        return exit_of_batch(progress)


async def list_batches(setup: Setup) -> Exit:
    """List the open batches, oldest first, and the last that ended, newest first."""
    async with setup.pipeline() as pipeline:
        batches = await pipeline.list()
    if setup.as_json:
        setup.print_json(batches)
    elif batches.open or batches.ended:
        show_briefs(setup.out, [*batches.open, *batches.ended])
    else:
        setup.print_line("There are no batches.")
    return Exit.DONE


async def cancel(setup: Setup, batch_id: BatchId) -> Exit:
    """Stop a batch: tasks in flight settle, and the summary is written from the outcomes so far."""
    return await _control(setup, batch_id, lambda batch: batch.cancel(), "is being cancelled")


async def pause(setup: Setup, batch_id: BatchId) -> Exit:
    """Release no tasks of a batch until it is resumed; its deadline keeps running."""
    return await _control(setup, batch_id, lambda batch: batch.pause(), "is paused")


async def resume(setup: Setup, batch_id: BatchId) -> Exit:
    """Continue a paused batch."""
    return await _control(setup, batch_id, lambda batch: batch.resume(), "continues")


async def tune(setup: Setup, batch_id: BatchId, *, window: Window = None, rate: Rate = None) -> Exit:
    """Change the window or the rate of a batch while it runs."""
    if window is None and rate is None:
        raise typer.BadParameter("there is nothing to change: give --window or --rate")
    return await _control(setup, batch_id, lambda batch: batch.tune(window=window, rate=rate), "is tuned")


async def redrive(setup: Setup, batch_id: BatchId, *, watch: Watch = False) -> Exit:
    """Run the failed items of an ended batch, and those that never ran, again."""
    async with setup.pipeline() as pipeline:
        batch = pipeline.batch(batch_id)
        redriven = await batch.redrive()
        # With --watch, the updates are the only output.
        if setup.as_json and not watch:
            setup.print_json({"batch_id": batch.id, "redriven": redriven})
        elif not setup.as_json:
            setup.print_line(f"Batch {batch.id} {'runs again' if redriven else 'has nothing that failed'}.")
        return await follow(setup, batch) if watch else Exit.DONE


async def delete(setup: Setup, batch_id: BatchId) -> Exit:
    """Delete an ended batch, its summary and all its other objects; an input under your own key stays."""
    async with setup.pipeline() as pipeline:
        deleted = await pipeline.batch(batch_id).delete()
    if setup.as_json:
        setup.print_json({"batch_id": batch_id, "deleted": deleted})
    else:
        setup.print_line(f"Batch {batch_id} {'is deleted' if deleted else 'is being deleted'}.")
    return Exit.DONE


async def _control(setup: Setup, batch_id: str, action: Callable[[Batch], Awaitable[None]], outcome: str) -> Exit:
    async with setup.pipeline() as pipeline:
        await action(pipeline.batch(batch_id))
    if setup.as_json:
        setup.print_json({"batch_id": batch_id, "accepted": True})
    else:
        setup.print_line(f"Batch {batch_id} {outcome}.")
    return Exit.DONE
