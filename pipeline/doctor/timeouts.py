"""Timeouts: the function's and the watchdog's have to agree; stack.yml explains their order."""

from collections.abc import Callable

from pipeline.context import Context
from pipeline.doctor.check import Check, failed, ok, warning
from pipeline.settings.environment import Settings
from pipeline.settings.watchdog import Watchdog
from pipeline.spec.batch_spec import BatchSpec

# Twice the default window of a batch: its tasks, and a callback for each.
FEW_REQUESTS = 256

REDELIVERY = "timeouts: redelivery"

Rule = Callable[[Settings, Watchdog], Check]


async def check_timeouts(context: Context) -> list[Check]:
    """Compare the timeouts with one another; without a watchdog, only the function's own."""
    settings, watchdog = context.settings, context.settings.watchdog
    checks = [_calls(settings)]
    if not watchdog.is_there:
        checks.append(_redelivery(settings, settings.task_timeout))
        return [*checks, ok("timeouts: watchdog", "its variables are not in the environment: there seems to be none")]
    rules: dict[str, Rule] = {
        "timeouts: a task": _task,
        "timeouts: the connection": _connection,
        REDELIVERY: lambda settings, watchdog: _redelivery(settings, watchdog.exec_timeout),
        "timeouts: a stop": _stop,
        "watchdog: max_inflight": _inflight,
        "watchdog: jwt_auth": _function_tokens,
    }
    for name, rule in rules.items():
        try:
            checks.append(rule(settings, watchdog))
        except ValueError as error:
            checks.append(warning(name, str(error), "mend the variable: the watchdog may take its default for it"))
    return checks


def _calls(settings: Settings) -> Check:
    default = BatchSpec.model_fields["timeout"].default
    name, finding = "timeouts: a call", f"timeout {default:g} s by default, task_timeout {settings.task_timeout:g} s"
    if default > settings.task_timeout:
        return warning(
            name, finding, "a call ends with its task: for slow models raise task_timeout, and what follows it"
        )
    return ok(name, finding)


def _task(settings: Settings, watchdog: Watchdog) -> Check:
    name = "timeouts: a task"
    finding = f"task_timeout {settings.task_timeout:g} s, exec_timeout {watchdog.exec_timeout:g} s"
    if settings.task_timeout >= watchdog.exec_timeout:
        advice = "exec_timeout above task_timeout: else the watchdog ends tasks that would have answered"
        return failed(name, finding, advice)
    return ok(name, finding)


def _connection(_settings: Settings, watchdog: Watchdog) -> Check:
    name, least = "timeouts: the connection", min(watchdog.read_timeout, watchdog.write_timeout)
    finding = (
        f"exec_timeout {watchdog.exec_timeout:g} s, read_timeout {watchdog.read_timeout:g} s, "
        f"write_timeout {watchdog.write_timeout:g} s"
    )
    if least < watchdog.exec_timeout:
        return warning(
            name, finding, "read_timeout and write_timeout of at least exec_timeout: else answers are cut off"
        )
    return ok(name, finding)


def _redelivery(settings: Settings, longest: float) -> Check:
    finding = f"a task takes up to {longest:g} s, ack_wait is {settings.ack_wait:g} s"
    if settings.openfaas_pro:
        return ok(REDELIVERY, f"a task takes up to {longest:g} s, and OpenFaaS Pro extends ack_wait by itself")
    if settings.ack_wait <= longest:
        advice = (
            "ack_wait above exec_timeout, in the queue-worker first and then here: a message that takes longer is "
            "delivered again while it runs, and again after that. Each delivery holds a queue-worker, and each direct "
            "call is made and paid for anew, so work and cost multiply, and other messages wait"
        )
        return failed(REDELIVERY, finding, advice)
    return ok(REDELIVERY, finding)


def _stop(settings: Settings, watchdog: Watchdog) -> Check:
    name = "timeouts: a stop"
    finding = f"healthcheck_interval {watchdog.healthcheck_interval:g} s, drain_delay {settings.drain_delay:g} s"
    if settings.drain_delay < watchdog.healthcheck_interval:
        advice = "drain_delay of at least healthcheck_interval: else a replica that stops refuses what it is still sent"
        return warning(name, finding, advice)
    return ok(name, finding)


def _inflight(_settings: Settings, watchdog: Watchdog) -> Check:
    name, most = "watchdog: max_inflight", watchdog.max_inflight
    if 0 < most < FEW_REQUESTS:
        advice = "leave it unset: callbacks that find the watchdog full are answered 429, and never come again"
        return warning(name, str(most), advice)
    return ok(name, str(most) if most else "unset")


def _function_tokens(_settings: Settings, watchdog: Watchdog) -> Check:
    name = "watchdog: jwt_auth"
    if watchdog.needs_function_token:
        advice = "leave it unset, and use the secret pipeline-token: messages and callbacks carry no token of OpenFaaS"
        return failed(name, "function authentication is on", advice)
    return ok(name, "function authentication is off")
