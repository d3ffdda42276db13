"""The variables of the watchdog, and whether they agree with the settings."""

import math
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from pipeline.doctor.timeouts import check_timeouts
from pipeline.settings.environment import read_settings
from pipeline.settings.watchdog import Watchdog, read_watchdog
from tests.rigs.images import function, image_environment, seconds

if TYPE_CHECKING:
    from pipeline.context import Context

MINIMAL = {"s3_bucket": "rows"}
AGREED = {
    "mode": "http",
    "task_timeout": "50",
    "exec_timeout": "55s",
    "read_timeout": "60s",
    "write_timeout": "1m",
    "ack_wait": "60",
    "healthcheck_interval": "5s",
    "drain_delay": "5",
}


async def verdicts(**environment: str) -> dict[str, tuple[str, str]]:
    context = SimpleNamespace(settings=read_settings(MINIMAL | environment))
    checks = await check_timeouts(cast("Context", context))
    assert [check for check in checks if bool(check.advice) != (check.status != "ok")] == []
    return {check.name: (check.status, check.found) for check in checks}


@pytest.mark.parametrize("value", ["55s", "1m", "1m30s", "1.5s", "2h", "1h2m3s"])
def test_duration_is_read_as_go_reads_it(value: str) -> None:
    assert read_watchdog({"exec_timeout": value}).exec_timeout == seconds(value)


def test_bare_number_is_seconds() -> None:
    assert read_watchdog({"write_timeout": "30"}).write_timeout == 30


@pytest.mark.parametrize("value", ["soon", "500ms", "-5s", "5 s", "s", "1d"])
def test_malformed_duration_is_an_error(value: str) -> None:
    with pytest.raises(ValueError, match=f"^exec_timeout '{value}' is not understood: expected seconds, as in 55s"):
        _ = read_watchdog({"exec_timeout": value}).exec_timeout


def test_unset_variables_have_the_watchdogs_defaults() -> None:
    watchdog = Watchdog()
    assert (watchdog.exec_timeout, watchdog.read_timeout, watchdog.write_timeout) == (10, 10, 10)
    assert (watchdog.healthcheck_interval, watchdog.max_inflight, watchdog.is_there) == (10, 0, False)
    assert read_watchdog({"write_timeout": "20s", "PATH": "/bin"}).healthcheck_interval == 20


def test_zero_means_no_limit() -> None:
    watchdog = read_watchdog({"exec_timeout": "0s", "read_timeout": "0", "write_timeout": "0s"})
    assert (watchdog.exec_timeout, watchdog.read_timeout, watchdog.write_timeout) == (math.inf, math.inf, math.inf)
    assert watchdog.healthcheck_interval == 0


async def test_variables_of_stack_yml_agree() -> None:
    given: dict[str, Any] = image_environment() | function("pipeline")["environment"]
    found = await verdicts(**{name: value for name, value in given.items() if name in {*AGREED, "max_inflight"}})
    assert {name: status for name, (status, _) in found.items()} == dict.fromkeys(found, "ok")
    assert found["watchdog: max_inflight"] == ("ok", "unset")
    assert len(found) == 7


async def test_fewer_checks_without_a_watchdog() -> None:
    assert await verdicts() == {
        "timeouts: a call": ("ok", "timeout 30 s by default, task_timeout 50 s"),
        "timeouts: redelivery": ("ok", "a task takes up to 50 s, ack_wait is 60 s"),
        "timeouts: watchdog": ("ok", "its variables are not in the environment: there seems to be none"),
    }


WRONG: dict[str, tuple[dict[str, str], str, str, str]] = {
    "a task that the watchdog ends": (
        *({"exec_timeout": "50s"}, "timeouts: a task", "failed"),
        "task_timeout 50 s, exec_timeout 50 s",
    ),
    "an answer that is cut off": (
        *({"write_timeout": "50s"}, "timeouts: the connection", "warning"),
        "exec_timeout 55 s, read_timeout 60 s, write_timeout 50 s",
    ),
    "a request that is cut off": (
        *({"read_timeout": "50s"}, "timeouts: the connection", "warning"),
        "exec_timeout 55 s, read_timeout 50 s, write_timeout 60 s",
    ),
    "a task that is delivered twice": (
        *({"ack_wait": "55"}, "timeouts: redelivery", "failed"),
        "a task takes up to 55 s, ack_wait is 55 s",
    ),
    "callbacks that need a token of OpenFaaS": (
        *({"jwt_auth": "true"}, "watchdog: jwt_auth", "failed"),
        "function authentication is on",
    ),
    "a stop that is too soon": (
        *({"healthcheck_interval": ""}, "timeouts: a stop", "warning"),
        "healthcheck_interval 60 s, drain_delay 5 s",
    ),
    "a default that is longer than a task": (
        *({"task_timeout": "20"}, "timeouts: a call", "warning"),
        "timeout 30 s by default, task_timeout 20 s",
    ),
    "callbacks that are refused": ({"max_inflight": "255"}, "watchdog: max_inflight", "warning", "255"),
    "a number that is none": (
        *({"max_inflight": "many"}, "watchdog: max_inflight", "warning"),
        "invalid literal for int() with base 10: 'many'",
    ),
    "a duration that is none": (
        *({"healthcheck_interval": "soon"}, "timeouts: a stop", "warning"),
        "healthcheck_interval 'soon' is not understood: expected seconds, as in 55s or 1m30s",
    ),
}


@pytest.mark.parametrize(("change", "name", "status", "words"), WRONG.values(), ids=WRONG)
async def test_disagreement_is_found(change: dict[str, str], name: str, status: str, words: str) -> None:
    found = await verdicts(**{**AGREED, **change})
    assert found.pop(name) == (status, words)
    assert {status for status, _ in found.values()} == {"ok"}


async def test_task_that_outlives_ack_wait_fails_without_a_watchdog() -> None:
    found = await verdicts(ack_wait="50")
    assert found["timeouts: redelivery"] == ("failed", "a task takes up to 50 s, ack_wait is 50 s")


async def test_openfaas_pro_extends_ack_wait() -> None:
    found = await verdicts(**{**AGREED, "openfaas_pro": "true", "exec_timeout": "1h"})
    words = "a task takes up to 3600 s, and OpenFaaS Pro extends ack_wait by itself"
    assert found["timeouts: redelivery"] == ("ok", words)


@pytest.mark.parametrize(
    "given",
    [
        *({"max_inflight": "256"}, {"max_inflight": "0"}, {"exec_timeout": "50.5s"}),
        {"read_timeout": "0", "write_timeout": "0s"},
    ],
)
async def test_values_at_the_limit_agree(given: dict[str, str]) -> None:
    assert {status for status, _ in (await verdicts(**{**AGREED, **given})).values()} == {"ok"}
