"""A plan is its seed's, and no clock's or machine's."""

import collections
import random

import pytest

from bench.chaos.model import can_succeed, items_of, make_items, word
from bench.chaos.plan import END, GATEWAY_EVENTS, INNER, MOST_HITS, OUTER, REQUESTS, Rules, make_plan
from bench.chaos.strikes import STRIKES
from bench.kit.machine import ROOT


@pytest.mark.parametrize("seed", range(20))
def test_a_seed_gives_one_plan(seed: int) -> None:
    assert make_plan(seed) == make_plan(seed)
    assert make_plan(seed) != make_plan(seed + 1)


def test_a_point_in_redis_is_a_script_or_a_command() -> None:
    points = {step.event for seed in range(400) for step in make_plan(seed).steps if step.event.startswith("redis:")}
    scripts = {path.stem for path in (ROOT / "pipeline" / "ledger" / "lua").glob("*.lua")}
    assert {point.removeprefix("redis:") for point in points} <= scripts | {"zadd", "zrem", "any"}
    assert len(points) > 10


def test_the_seeds_bring_every_fault() -> None:
    plans = [make_plan(seed, short=True) for seed in range(400)]
    kinds = {step.fault for plan in plans for step in plan.steps}
    assert kinds == {*INNER, *OUTER, *REQUESTS}
    assert STRIKES.keys() == {*OUTER, *REQUESTS, "backlog", "deploy"}
    assert {step.fault for plan in plans for step in plan.steps if step.event == END} == {"redrive", "again", "delete"}
    shares = {kind for plan in plans for kind in plan.rules.shares}
    deliveries = {f"{what}-{of}" for what in ("drop", "repeat", "delay") for of in ("callback", "message")}
    assert shares == deliveries | {f"{what}-{of}" for what in ("refuse", "lose") for of in (*GATEWAY_EVENTS, "notice")}
    assert {name for plan in plans for name in plan.options} >= {
        *("rate", "tolerate", "sql", "outputs", "direct", "reduce", "notify", "chunk_call"),
    }
    assert {word(row) for plan in plans for row in plan.rows} == {
        *("good", "fail", "flaky", "slow", "die", "dies", "binary", "nonsense", "big"),
    }


@pytest.mark.parametrize(("short", "least", "most"), [(True, 60, 200), (False, 200, 2_000)])
def test_a_batch_has_more_events_than_its_steps_wait_for(*, short: bool, least: int, most: int) -> None:
    for seed in range(100):
        plan = make_plan(seed, short=short)
        tasks = -(-len(plan.rows) // plan.options["chunk"])
        outer = [step for step in plan.steps if step.event in GATEWAY_EVENTS]
        assert sum(step.count for step in outer) <= max(tasks, len(outer)) * 1.2
        assert least <= len(plan.rows) <= most


def test_rules_decide_by_what_a_message_is_and_how_often_it_was_seen() -> None:
    rules = Rules(1, {"drop-callback": 0.25})
    what = [("0", str(task), "0") for task in range(4000)]
    dropped = [one for one in what if rules.decide("drop-callback", one, 0) is not None]
    assert 900 < len(dropped) < 1100
    assert dropped == [one for one in reversed(what) if rules.decide("drop-callback", one, 0) is not None][::-1]
    again = [one for one in dropped if rules.decide("drop-callback", one, 1) is not None]
    assert 0 < len(again) < len(dropped)
    assert [one for one in what if rules.decide("drop-message", one, 0) is not None] == []
    other = Rules(2, rules.shares)
    assert dropped != [one for one in what if other.decide("drop-callback", one, 0) is not None]


def test_what_a_rule_draws_is_spread_over_the_whole_range() -> None:
    rules = Rules(3, {"delay-message": 0.5})
    drawn = [value for task in range(1000) if (value := rules.decide("delay-message", (task,), 0)) is not None]
    assert all(0 <= value < 1 for value in drawn)
    assert min(drawn) < 0.05
    assert max(drawn) > 0.95


def test_rules_leave_a_message_alone_that_they_have_hit_often() -> None:
    rules = Rules(1, {"drop-message": 1.0})
    assert [rules.decide("drop-message", (0,), times) is not None for times in range(MOST_HITS + 2)] == [
        *[True] * MOST_HITS,
        *[False] * 2,
    ]


def test_few_items_kill_their_replica_and_some_rows_are_there_twice() -> None:
    rows = make_items(random.Random(5), 1000, 0.5, deadly=2)
    assert len(rows) == 1000
    assert sum(word(row) in {"die", "dies"} for row in rows) <= 2
    assert max(collections.Counter(rows).values()) > 1


@pytest.mark.parametrize(
    ("item", "fine"),
    [
        *[("good 1", True), ("fail 500 1", False), ("die 1", False), ("dies 1 1", True), ("flaky 3 1", True)],
        *[("slow 0.6 1", True), ("slow 1.5 1", False), ("switch 1", True), ("binary 1", True)],
    ],
)
def test_what_can_succeed(item: str, *, fine: bool) -> None:
    assert can_succeed(item, 1) == fine


@pytest.mark.parametrize(
    ("body", "items"),
    [
        ("good 1", ["good 1"]),
        ('["good 1", "fail 400 2"]', ["good 1", "fail 400 2"]),
        ('[{"a": 1}]', ['{"a": 1}']),
        ("[broken", ["[broken"]),
        ("7", ["7"]),
    ],
)
def test_array_is_a_chunk_of_items(body: str, items: list[str]) -> None:
    assert items_of(body) == items
