"""Fakes of the services that the function reaches over the network, and a fake clock."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from pipeline.answers.reply import Reply
from pipeline.openfaas.gateway import Gateway
from pipeline.spec.batch_spec import BatchSpec
from pipeline.store.bucket import Store

KEY = b"a key of the tests, long enough"


def spec(**fields: object) -> BatchSpec:
    return BatchSpec.model_validate({"input": "data/rows.csv", "function": "model", **fields})


@dataclass
class Clock:
    """A clock that moves only by sleeps, or when it is set."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@dataclass
class Call:
    function: str
    body: bytes
    headers: dict[str, str]
    timeout: float


@dataclass
class FakeGateway:
    """Replies in turn, and repeats the last reply; each call takes `duration` seconds of the clock."""

    replies: Sequence[Reply]
    clock: Clock | None = None
    duration: float = 0.0
    calls: list[Call] = field(default_factory=list)

    async def invoke(self, function: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Reply:  # noqa: ASYNC109
        reply = self.replies[min(len(self.calls), len(self.replies) - 1)]
        self.calls.append(Call(function, body, dict(headers), timeout))
        if self.clock is not None:
            self.clock.now += self.duration
        return reply

    @property
    def typed(self) -> Gateway:
        return cast("Gateway", self)


@dataclass
class FakeStore:
    """Records the objects that are put, in order."""

    objects: dict[str, bytes] = field(default_factory=dict)

    async def put(self, key: str, body: bytes, _content_type: str = "application/json") -> None:
        self.objects[key] = body

    @property
    def typed(self) -> Store:
        return cast("Store", self)


def raising(error: BaseException) -> Callable[..., object]:
    def fail(*_args: object, **_kwargs: object) -> object:
        raise error

    return fail
