"""The timer: it sweeps often while batches are open, rarely while none is, and survives every error."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pipeline import server
from pipeline.batch.sweep import Swept
from pipeline.context import Context
from pipeline.errors import UnavailableError
from tests.rigs.log_lines import LogLines


class NoResultLeft(BaseException):
    """Ends the timer when no result is left."""


async def sweeps(monkeypatch: pytest.MonkeyPatch, results: list[int | Exception]) -> list[float]:
    """Let the timer sweep with these results; returns its waits before each and after the last.

    A negative result counts ended batches that still have notifications to send.
    """
    waits: list[float] = []
    left = list(results)

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async def sweep_all(_context: Context) -> Swept:
        if not left:
            raise NoResultLeft
        result = left.pop(0)
        if isinstance(result, Exception):
            raise result
        return Swept(result, 0) if result >= 0 else Swept(0, -result)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    monkeypatch.setattr("random.uniform", lambda _low, high: high)
    monkeypatch.setattr(server, "sweep_all", sweep_all)
    context: Any = SimpleNamespace(settings=SimpleNamespace(sweep_interval=4.0))
    with pytest.raises(NoResultLeft):
        await server._timer(cast("Context", context))
    return waits


@pytest.mark.parametrize(
    ("results", "waits"),
    [
        ([], [25.0]),
        ([0, 0], [25.0, 25.0, 25.0]),
        ([3, 1, 0], [25.0, 5.0, 5.0, 25.0]),
        ([-1, 0], [25.0, 5.0, 25.0]),
        ([3, UnavailableError("Redis"), 0], [25.0, 5.0, 5.0, 25.0]),
        ([UnavailableError("Redis"), ValueError("a bug"), 1], [25.0, 25.0, 25.0, 5.0]),
    ],
)
async def test_timer_waits_by_the_number_of_open_batches(
    monkeypatch: pytest.MonkeyPatch, results: list[int | Exception], waits: list[float]
) -> None:
    assert await sweeps(monkeypatch, results) == waits


async def test_timer_logs_under_its_own_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    with LogLines.captured() as lines:
        await sweeps(monkeypatch, [UnavailableError("Redis"), ValueError("a bug")])
    entries = [(line["mode"], line["event"], line.get("error")) for line in lines.all()]
    assert entries == [
        ("timer", "open batches could not be swept", "Redis"),
        ("timer", "unexpected error in the sweep", None),
    ]
