"""A capacity that requests share: parts, the line of those who wait, and its turns."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from pipeline.capacity import Caller, Capacity
from pipeline.errors import TooManyRequestsError

PATIENCE = 60.0


class Rig:
    """A capacity, and the order in which requests got their parts."""

    def __init__(self, total: int, line: int = 10, patience: float = PATIENCE) -> None:
        self.capacity = Capacity(total, line, patience)
        self.order: list[str] = []
        self.leave: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def hold(self, name: str, amount: int, **options: Any) -> None:
        async with self.capacity.part(amount, Caller(**options)):
            self.order.append(name)
            await self.leave[name].wait()

    async def enter(self, name: str, amount: int = 1, **options: Any) -> None:
        self.leave[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self.hold(name, amount, **options))
        await settle()

    async def exit(self, *names: str) -> None:
        for name in names:
            self.leave[name].set()
            await self.tasks[name]
            await settle()


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


async def refused(work: Awaitable[None]) -> None:
    with pytest.raises(TooManyRequestsError, match="too many requests at once in this replica: try again"):
        await work


async def test_request_without_room_waits_until_another_leaves() -> None:
    rig = Rig(3)
    await rig.enter("a", 2)
    await rig.enter("b", 2)
    await rig.enter("c", 1)
    assert rig.order == ["a", "c"]
    await rig.exit("a")
    assert rig.order == ["a", "c", "b"]
    await rig.exit("b", "c")
    await rig.enter("d", 3)
    assert rig.order[-1] == "d"


async def test_request_leaves_the_spare_units_to_others() -> None:
    rig = Rig(3)
    await rig.enter("a", 2, spare=1)
    await rig.enter("b", 1, spare=1)
    await rig.enter("c", 1)
    assert rig.order == ["a", "c"]
    await rig.exit("c")
    assert rig.order == ["a", "c"]
    await rig.exit("a")
    assert rig.order == ["a", "c", "b"]


async def test_next_is_the_key_with_the_fewest_parts() -> None:
    rig = Rig(2)
    for name in ("a1", "a2", "a3", "a4"):
        await rig.enter(name, key="a")
    for name in ("b1", "b2"):
        await rig.enter(name, key="b")
    await rig.enter("c1", key="c")
    await rig.exit("a1", "a2", "b1", "c1", "a3")
    assert rig.order == ["a1", "a2", "b1", "c1", "a3", "b2", "a4"]


async def test_full_line_refuses_the_key_with_the_most_parts() -> None:
    rig = Rig(1, line=2)
    for name in ("a1", "a2", "a3"):
        await rig.enter(name, key="a")
    await rig.enter("b1", key="b")
    await refused(rig.hold("a4", 1, key="a"))
    await refused(rig.tasks["a3"])
    await rig.exit("a1", "b1", "a2")
    assert rig.order == ["a1", "b1", "a2"]


async def test_request_without_room_in_time_is_refused() -> None:
    rig = Rig(1, patience=0.01)
    await rig.enter("a")
    await refused(rig.hold("b", 1))
    await rig.exit("a")
    await rig.enter("c")
    assert rig.order == ["a", "c"]


async def test_cancelled_request_gives_its_place_and_its_part_back() -> None:
    rig = Rig(1)
    await rig.enter("a")
    await rig.enter("b")
    await rig.enter("c")
    rig.tasks["b"].cancel()
    await rig.exit("a")
    assert rig.order == ["a", "c"]
    await rig.enter("d")
    rig.tasks["c"].cancel()
    await settle()
    assert rig.order == ["a", "c", "d"]


async def test_part_grows_and_shrinks() -> None:
    rig = Rig(4)
    async with rig.capacity.part(1) as part:
        await part.grow_to(3)
        await part.grow_to(2)
        await rig.enter("a", 2)
        assert (part.amount, rig.order) == (3, [])
        part.shrink_to(2)
        part.shrink_to(3)
        await settle()
        assert (part.amount, rig.order) == (2, ["a"])


async def test_patient_request_is_never_refused() -> None:
    rig = Rig(1, line=1, patience=0.01)
    await rig.enter("a", key="a")
    await rig.enter("patient", key="a", is_patient=True)
    await rig.enter("b", key="a")
    await refused(rig.hold("c", 1, key="a"))
    await refused(rig.tasks["b"])
    assert rig.order == ["a"]
    await rig.exit("a")
    assert rig.order == ["a", "patient"]
