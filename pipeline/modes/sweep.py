"""`sweep`: repair what stalls, at once; the replicas' own timers do the same while they live."""

from pipeline.batch.sweep import sweep_all
from pipeline.context import Context
from pipeline.request import Event, Response


async def sweep(_event: Event, context: Context) -> Response:
    """Sweep every open batch; answers with how many there are. Raises UnavailableError."""
    return Response.json(200, {"open": (await sweep_all(context)).open})
