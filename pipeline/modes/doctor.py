"""`doctor`: check every service and setting that the function needs, with advice for each problem."""

import time
from collections.abc import Mapping
from dataclasses import asdict

from pipeline.context import Context
from pipeline.doctor.batches import check_batches
from pipeline.doctor.check import Group, run
from pipeline.doctor.clocks import check_gateway_clock, check_redis_clock, check_s3_clock
from pipeline.doctor.gateway import check_gateway, check_model_function
from pipeline.doctor.queue import check_queue
from pipeline.doctor.redis import check_redis
from pipeline.doctor.s3 import check_bucket
from pipeline.doctor.secrets import check_secrets
from pipeline.doctor.timeouts import check_timeouts
from pipeline.request import Event, Response

GROUPS: Mapping[str, Group] = {
    "secrets": check_secrets,
    "redis": check_redis,
    "s3": check_bucket,
    "clock: redis": check_redis_clock,
    "clock: s3": check_s3_clock,
    "clock: gateway": check_gateway_clock,
    "timeouts": check_timeouts,
    "gateway": check_gateway,
    "queue": check_queue,
    "model function": check_model_function,
    "batches": check_batches,
}


async def doctor(_event: Event, context: Context) -> Response:
    """Answer 200 with one entry for each check, in under 20 s; a check that raises or takes too long has failed."""
    checks = await run(GROUPS, context)
    return Response.json(200, {"checks": [asdict(check) for check in checks], "now": time.time()})
