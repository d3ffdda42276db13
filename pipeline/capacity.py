"""A capacity that requests share, of bytes or of processes: each request takes a part, or waits in a bounded line."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pipeline.errors import TooManyRequestsError

# Work that may take hundreds of MiB: at once, waiting, and the longest wait in seconds.
AT_ONCE = 2
LINE = 64
PATIENCE = 20.0


@dataclass(frozen=True)
class Caller:
    """A request that asks for a part: requests of one `key` share with the others fairly.

    It leaves `spare` units to others. A patient one is never refused: nobody would make it again.
    """

    key: str = ""
    spare: int = 0
    is_patient: bool = False


ANYBODY = Caller()


@dataclass(eq=False)
class Part:
    """The part of a capacity that one request holds."""

    capacity: "Capacity"
    caller: Caller
    amount: int = 0

    async def grow_to(self, amount: int) -> None:
        """Hold at least this amount; raises TooManyRequestsError when there is no room for it in time."""
        if amount > self.amount:
            await self.capacity.grow(self, amount - self.amount)

    def shrink_to(self, amount: int) -> None:
        """Hold at most this amount."""
        if amount < self.amount:
            self.capacity.shrink(self, self.amount - amount)


@dataclass(eq=False)
class _Waiting:
    part: Part
    growth: int
    granted: asyncio.Future[None]


class Capacity:
    """A total of units, for all requests together.

    At most `line` requests wait, each at most `patience` seconds, besides the patient ones. The next is the one whose
    key has the fewest parts, in use or before it in the line, and among these the one whose key was not served for
    longest. A full line refuses the last of this order.
    """

    def __init__(self, total: int, line: int, patience: float) -> None:
        self._free = total
        self._line = line
        self._patience = patience
        self._held: Counter[str] = Counter()
        self._waiting: list[_Waiting] = []
        self._served: dict[str, float] = {}

    @asynccontextmanager
    async def part(self, amount: int = 0, caller: Caller = ANYBODY) -> AsyncIterator[Part]:
        """Yield a part of this amount, once there is room for it.

        Raises TooManyRequestsError when the line is full, and when there is no room in time.
        """
        part = Part(self, caller)
        try:
            await part.grow_to(amount)
            yield part
        finally:
            part.shrink_to(0)

    async def grow(self, part: Part, growth: int) -> None:
        """Add units to a part, once there is room for them."""
        if self._fits(part, growth):
            self._change(part, growth)
            return
        waiting = _Waiting(part, growth, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        impatient = [each for each in self._in_turn() if not each.part.caller.is_patient]
        if len(impatient) > self._line:
            self._waiting.remove(impatient[-1])
            impatient[-1].granted.set_exception(_refusal())
        try:
            async with asyncio.timeout(None if part.caller.is_patient else self._patience):
                await waiting.granted
        except TimeoutError:
            raise _refusal() from None
        finally:
            if waiting in self._waiting:
                self._waiting.remove(waiting)

    def shrink(self, part: Part, amount: int) -> None:
        """Take units from a part, and give them to those who wait."""
        self._change(part, -amount)
        while following := next((each for each in self._in_turn() if self._fits(each.part, each.growth)), None):
            self._waiting.remove(following)
            self._change(following.part, following.growth)
            following.granted.set_result(None)
        keys = {each.part.caller.key for each in self._waiting}
        self._served = {key: served for key, served in self._served.items() if key in keys}

    def _fits(self, part: Part, growth: int) -> bool:
        return growth <= self._free - part.caller.spare

    def _change(self, part: Part, growth: int) -> None:
        key, held_before = part.caller.key, part.amount > 0
        part.amount += growth
        self._free -= growth
        self._held[key] += (part.amount > 0) - held_before
        if growth > 0:
            self._served[key] = time.monotonic()
        if not self._held[key]:
            del self._held[key]

    def _in_turn(self) -> list[_Waiting]:
        """Return those who wait in the order in which they follow."""
        before, turns = self._held.copy(), dict[_Waiting, tuple[int, float]]()
        for waiting in self._waiting:
            # One that was cancelled stays in the line until its task runs again.
            if not waiting.granted.done():
                key = waiting.part.caller.key
                turns[waiting] = before[key], self._served.get(key, 0.0)
                before[key] += 1
        return sorted(turns, key=turns.__getitem__)


def few_at_once() -> Capacity:
    """Return the capacity for work of one kind that may take hundreds of MiB."""
    return Capacity(AT_ONCE, LINE, PATIENCE)


def _refusal() -> TooManyRequestsError:
    return TooManyRequestsError("too many requests at once in this replica: try again")
