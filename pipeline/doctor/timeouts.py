"""Timeouts: the function's and the watchdog's have to agree; stack.yml explains their order."""

from collections.abc import Callable

from pipeline.context import Context
from pipeline.doctor.check import Check, failed, ok, warning
from pipeline.settings.environment import Settings
from pipeline.settings.watchdog import Watchdog
from pipeline.spec.batch_spec import BatchSpec

# Twice the default window of a batch: its tasks, and a callback for each.
FEW_REQUESTS = 256

Rule = Callable[[Settings, Watchdog], Check]


async def check_timeouts(context: Context) -> list[Check]:
    """Compare the timeouts with one another; without a watchdog, only the function's own."""
    settings, watchdog = context.settings, context.settings.watchdog
    checks = [_calls(settings)]
    if not watchdog.is_there:
        return [*checks, ok("timeouts: watchdog", "its variables are not in the environment: there seems to be none")]
    rules: dict[str, Rule] = {
        "timeouts: a task": _task,
        "timeouts: the connection": _connection,
        "timeouts: redelivery": _redelivery,
        "timeouts: a stop": _stop,
        "watchdog: max_inflight": _inflight,
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


def _redelivery(settings: Settings, watchdog: Watchdog) -> Check:
    name = "timeouts: redelivery"
    finding = f"exec_timeout {watchdog.exec_timeout:g} s, ack_wait {settings.ack_wait:g} s"
    if settings.ack_wait <= watchdog.exec_timeout:
        advice = "ack_wait, here and in the queue-worker, above exec_timeout: else long tasks are delivered twice"
        return warning(name, finding, advice)
    return ok(name, finding)


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
