"""The counters of a run: slots of time, and durations in buckets."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.ledger.measures import BUCKETS, SHORTEST, SLOTS, bucket_of, read_measures, upper_edge
from pipeline.ledger.replies import State


def state(slots: dict[int, int] | None = None, buckets: dict[int, int] | None = None, **fields: str) -> State:
    numbers = [0] * (SLOTS + BUCKETS)
    for place, count in (slots or {}).items():
        numbers[place] = count
    for bucket, count in (buckets or {}).items():
        numbers[SLOTS + bucket] = count
    given = {"run_at": "1000000000"} | fields
    return State(given, 0, 0, 1010.5, struct.pack(f">{len(numbers)}I", *numbers))


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [(0.0, 0), (0.001, 0), (0.00101, 1), (0.002, 4), (0.0021, 5), (1.024, 40), (1e9, BUCKETS - 1)],
)
def test_duration_has_a_bucket(seconds: float, bucket: int) -> None:
    assert bucket_of(seconds) == bucket


@given(st.floats(min_value=SHORTEST, max_value=10_000))
def test_duration_is_at_most_one_bucket_below_its_upper_edge(seconds: float) -> None:
    edge = upper_edge(bucket_of(seconds))
    assert edge / 2**0.25 * 0.999 <= seconds <= edge * 1.001


def test_quantiles_are_upper_edges() -> None:
    measures = read_measures(state(buckets={10: 50, 20: 49, 30: 1}))
    assert measures.tasks == 100
    assert [measures.quantile(share) for share in (0.0, 0.5, 0.51, 0.99, 1.0)] == [
        upper_edge(bucket) for bucket in (10, 10, 20, 20, 30)
    ]


def test_slots_cover_the_run_from_its_start_until_now() -> None:
    measures = read_measures(state({0: 3, 10: 2}))
    assert (measures.width, measures.slots) == (1.0, (3, *[0] * 9, 2))


def test_slots_have_the_ledgers_width_and_end_with_the_run() -> None:
    measures = read_measures(state({0: 3, 1: 1}, slot_width="4000000", completed="1007000000"))
    assert (measures.width, measures.slots) == (4.0, (3, 1))


def test_slots_never_exceed_their_maximum() -> None:
    assert len(read_measures(state(run_at="1000000")).slots) == SLOTS


@pytest.mark.parametrize("series", [b"", b"\0\0\0\7"])
def test_short_series_is_read(series: bytes) -> None:
    measures = read_measures(State({"run_at": "1000000000"}, 0, 0, 1001.0, series))
    assert (sum(measures.slots), measures.tasks) == (series.count(b"\7") * 7, 0)
    assert measures.quantile(0.5) == 0.0


def test_run_that_has_not_begun_has_no_slots() -> None:
    assert read_measures(State({}, 0, 0, 1001.0)).slots == ()
