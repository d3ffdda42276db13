"""`sweep`: take over overdue duties at once; the timer of every replica does the same from time to time."""

from pipeline.batch.sweep import sweep_all
from pipeline.context import Context
from pipeline.request import Event, Response


async def sweep(_event: Event, context: Context) -> Response:
    """Sweep every open batch; answers 200 with their number. Raises UnavailableError."""
    return Response.json(200, {"open": (await sweep_all(context)).open})
