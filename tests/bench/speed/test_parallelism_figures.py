import pytest

from bench.speed.parallelism.figures import (
    BARE,
    TRAFFIC,
    WAYS,
    Case,
    Run,
    called_at_once,
    items_for,
    medians,
    side_by_side,
)
from bench.speed.parallelism.run_case import high


def run(
    parallelism: int, model_ms: int, seconds: float, repeat: int = 1, cpu: float = 1.0, way: str = "chunk 1"
) -> Run:
    case = Case(way, parallelism, model_ms, 100)
    traffic = dict.fromkeys(TRAFFIC, float(repeat))
    return Run(case, repeat, seconds, seconds + 1, 1, 0, {"function": cpu}, 64.0 + repeat, traffic)


def test_efficiency_is_the_share_of_the_measured_makespan_that_the_ideal_one_would_take() -> None:
    assert run(4, 50, seconds=1.25).efficiency == 1
    assert run(4, 50, seconds=2.5).efficiency == 0.5


def test_items_that_a_task_calls_side_by_side_are_so_in_the_ideal_too() -> None:
    eight = Run(Case("chunk 10", 4, 50, 800), 1, 1.25, 2.0, 8, 0, {}, None, {})
    assert eight.efficiency == 1


def test_a_model_that_answers_at_once_has_no_efficiency() -> None:
    assert run(4, 0, seconds=2).efficiency is None
    assert run(4, 0, seconds=2).items_per_second == 50


def test_medians_stand_for_their_runs() -> None:
    runs = [run(1, 50, seconds, repeat, cpu=repeat) for repeat, seconds in enumerate([10.0, 5.0, 8.0], start=1)]

    (point,) = medians(runs)

    assert point.items_per_second == 12.5
    assert point.spread == pytest.approx((20 - 10) / 12.5)
    assert point.efficiency == pytest.approx(5 / 8)
    assert point.cpu_ms == {"function": 2.0}
    assert point.peak_rss_mb == 66.0
    assert point.traffic == dict.fromkeys(TRAFFIC, 2.0)


def test_a_way_is_compared_with_the_bare_queue_of_its_own_repeat() -> None:
    seconds = [
        (BARE, 1, 1.0),
        ("direct", 1, 2.0),
        (BARE, 2, 10.0),
        ("direct", 2, 8.0),
        (BARE, 3, 1.0),
        ("direct", 3, 1.0),
    ]
    runs = [run(4, 0, took, repeat, way=way) for way, repeat, took in seconds]

    bare, direct = medians(runs)

    assert (bare.case.way, direct.case.way) == (BARE, "direct")
    assert bare.against_bare == 1
    # 0.5, 1.25 and 1: the ratio of the medians would be 0.5.
    assert direct.against_bare == 1


def test_points_come_way_by_way_then_by_model_time_and_parallelism() -> None:
    runs = [run(workers, ms, 1.0, way=way) for workers in (4, 1) for ms in (50, 0) for way in (BARE, "chunk 1")]

    order = [(point.case.way, point.case.model_ms, point.case.parallelism) for point in medians(runs)]

    assert order == [(way, ms, workers) for way in (BARE, "chunk 1") for ms in (0, 50) for workers in (1, 4)]


def test_without_the_bare_queue_there_is_nothing_to_compare_with() -> None:
    (point,) = medians([run(1, 0, 1.0)])

    assert point.against_bare is None


def test_medians_of_a_platform_whose_processes_are_out_of_sight() -> None:
    case = Case("chunk 1", 2, 0, 100)

    (point,) = medians([Run(case, repeat, 2.0, 3.0, 1, 0, {}, None, {}) for repeat in (1, 2)])

    assert (point.cpu_ms, point.peak_rss_mb, point.efficiency, point.traffic) == ({}, None, None, {})


@pytest.mark.parametrize("at_once", [1, 8])
@pytest.mark.parametrize("parallelism", [1, 2, 3, 7, 16, 64])
@pytest.mark.parametrize("model_ms", [0, 10, 50, 60_000])
def test_items_keep_every_worker_busy_to_the_last_round(parallelism: int, model_ms: int, at_once: int) -> None:
    items = items_for(parallelism, model_ms, at_once)

    assert items >= parallelism * at_once
    assert items % (parallelism * at_once) == 0


@pytest.mark.parametrize(("items", "tasks", "at_once"), [(100, 100, 1), (100, 50, 2), (100, 10, 8), (101, 100, 2)])
def test_a_task_calls_its_items_side_by_side_but_not_all_of_many(items: int, tasks: int, at_once: int) -> None:
    assert called_at_once(items, tasks) == at_once


def test_items_called_side_by_side_follow_from_the_way() -> None:
    assert [side_by_side(way) for way in WAYS] == [1, 1, 1, 8, 1]


def test_a_hundredth_of_the_values_is_above_the_high_one() -> None:
    assert high([float(number) for number in range(1, 1001)]) == 990
    assert high([3.0]) == 3
