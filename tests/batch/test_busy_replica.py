"""A busy replica: dry runs, checks of queries and readers of inputs are few at once, and each batch has its turn."""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from msgspec.structs import replace as replace_limits

from pipeline.capacity import AT_ONCE, LINE, Caller, Capacity
from pipeline.errors import TooManyRequestsError
from pipeline.sandbox.parent import call_in_child
from pipeline.sql.runner import CHECK, Queries
from tests.rigs.function.dry_runs import DRY_RUN
from tests.rigs.function.pipeline_bench import CSV, PipelineBench, document
from tests.rigs.waiting import PATIENCE, wait_until

NDJSON = {"Content-Type": "application/x-ndjson"}
DEAR = "SELECT " + ", ".join(f"field_{number}" for number in range(95)) + " FROM results"


@dataclass
class Children:
    """Child processes that end when the test lets them, one at a time: the queries that they check, in order."""

    begun: list[str] = field(default_factory=list)
    leave: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    async def call(self, _function: Any, order: Any, _limits: Any) -> None:
        self.begun.append(order.sql)
        await self.leave.acquire()


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> Children:
    made = Children()
    monkeypatch.setattr("pipeline.sql.runner.call_in_child", made.call)
    return made


async def test_query_of_another_batch_is_the_next(children: Children) -> None:
    queries = Queries()
    async with asyncio.TaskGroup() as group:
        for number in range(8):
            group.create_task(queries.check(f"a{number}", None, Caller("a")))
        await wait_until(lambda: len(children.begun) == AT_ONCE)
        group.create_task(queries.check("b", None, Caller("b")))
        await wait_until(lambda: len(queries.checking._waiting) == 8 - AT_ONCE + 1)
        assert len(children.begun) == AT_ONCE
        children.leave.release()
        await wait_until(lambda: len(children.begun) > AT_ONCE)
        assert children.begun[AT_ONCE] == "b"
        for _ in range(8):
            children.leave.release()


async def test_full_line_refuses_the_batch_with_most_queries(children: Children) -> None:
    queries = Queries()
    checks = [asyncio.create_task(queries.check(f"a{n}", None, Caller("a"))) for n in range(LINE + AT_ONCE)]
    await wait_until(lambda: len(queries.checking._waiting) == LINE)
    with pytest.raises(TooManyRequestsError):
        await queries.check("one more", None, Caller("a"))
    other = asyncio.create_task(queries.check("b", None, Caller("b")))
    with pytest.raises(TooManyRequestsError):
        await checks[-1]
    assert not other.done()
    for _ in range(LINE + AT_ONCE):
        children.leave.release()
    await asyncio.gather(other, *checks[:-1])


async def test_plain_query_is_answered_beside_dear_dry_runs(pipeline: PipelineBench) -> None:
    queries = Queries(check=replace_limits(CHECK, seconds=PATIENCE))
    queries.checking = Capacity(AT_ONCE, LINE, PATIENCE)
    pipeline.context = replace(pipeline.context, queries=queries, dry_runs=Capacity(AT_ONCE, LINE, PATIENCE))
    ended: list[str] = []

    async def dry_run(sql: str, batch: str) -> None:
        response = await pipeline.submit("url\na\n", CSV, {"sql": sql, **DRY_RUN}, batch)
        assert (response.status, document(response)["items"]) == (200, 1)
        ended.append(batch)

    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(dry_run(DEAR, "dear"))
        group.create_task(dry_run("SELECT url FROM results", "plain"))
    assert len(ended) == 9
    assert ended.index("plain") <= AT_ONCE + 1


async def test_readers_of_typed_inputs_are_few_at_once(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, most = 0, 0

    async def counted(*arguments: Any) -> Any:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            return await call_in_child(*arguments)
        finally:
            running -= 1

    monkeypatch.setattr("pipeline.inputs.reader.call_in_child", counted)
    pipeline.context = replace(pipeline.context, readers=Capacity(AT_ONCE, LINE, PATIENCE))
    batches = [f"{pipeline.name}.{number}" for number in range(5)]
    answers = await asyncio.gather(*(pipeline.submit('{"url": "a"}\n', NDJSON, {}, batch) for batch in batches))
    assert [answer.status for answer in answers] == [201] * 5
    assert most == AT_ONCE


async def test_busy_replica_answers_a_dry_run_with_429(pipeline: PipelineBench) -> None:
    pipeline.context = replace(pipeline.context, dry_runs=Capacity(0, 0, 0))
    with pytest.raises(TooManyRequestsError, match="too many requests at once in this replica: try again"):
        await pipeline.submit("url\na\n", CSV, DRY_RUN)
