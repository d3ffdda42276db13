"""The gateway as the function reaches it, and the model function behind it."""

import time

from pipeline.context import Context
from pipeline.doctor.check import Check, failed, ok, warning

SLOW = 1.0
HIDDEN = frozenset({401, 403})


async def check_gateway(context: Context) -> list[Check]:
    """Check that the gateway answers, with any status, and how soon."""
    started = time.monotonic()
    answer = await context.gateway.get("/healthz")
    took = time.monotonic() - started
    finding = f"{context.settings.gateway_url} answers {answer.status} in {1000 * took:.0f} ms"
    if took > SLOW:
        return [warning("gateway: reached", finding, "every message goes through it: see its load, and the network")]
    return [ok("gateway: reached", finding)]


async def check_model_function(context: Context) -> list[Check]:
    """Ask the gateway whether the function of the setting model_function is deployed."""
    name, function = "model function: deployed", context.settings.model_function
    if function is None:
        return [ok(name, "no model_function is set: each batch names its own")]
    short, _, namespace = function.partition(".")
    answer = await context.gateway.get(f"/system/function/{short}" + f"?namespace={namespace}" * bool(namespace))
    if answer.status in HIDDEN:
        return [ok(name, f"{function!r} cannot be seen without the gateway's password")]
    if answer.status == 404:  # noqa: PLR2004
        return [failed(name, f"{function!r} is not deployed", "deploy it, or name another in model_function")]
    return [ok(name, f"the gateway answers {answer.status} for {function!r}")]
