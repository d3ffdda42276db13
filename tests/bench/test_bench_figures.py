import pytest

from bench.figures import Case, Run, items_for, medians


def run(parallelism: int, model_ms: int, seconds: float, repeat: int = 1, cpu: float = 1.0) -> Run:
    return Run(Case(parallelism, model_ms, 100), repeat, seconds, seconds + 1, 0, {"pipeline": cpu}, 64.0 + repeat)


def test_efficiency_is_the_share_of_the_measured_makespan_that_the_ideal_one_would_take() -> None:
    assert Case(4, 50, 100).ideal_seconds == 1.25
    assert run(4, 50, seconds=1.25).efficiency == 1
    assert run(4, 50, seconds=2.5).efficiency == 0.5


def test_a_model_that_answers_at_once_has_no_efficiency() -> None:
    assert run(4, 0, seconds=2).efficiency is None
    assert run(4, 0, seconds=2).items_per_second == 50


def test_medians_stand_for_their_runs() -> None:
    runs = [run(1, 50, seconds, repeat, cpu=repeat) for repeat, seconds in enumerate([10.0, 5.0, 8.0], start=1)]

    (point,) = medians(runs)

    assert point.items_per_second == 12.5
    assert point.spread == pytest.approx((20 - 10) / 12.5)
    assert point.efficiency == pytest.approx(5 / 8)
    assert point.cpu_ms == {"pipeline": 2.0}
    assert point.peak_rss_mb == 66.0


def test_scaling_is_a_multiple_of_the_smallest_parallelism_with_the_same_model_time() -> None:
    runs = [run(4, 0, 2.0), run(1, 50, 10.0), run(1, 0, 4.0), run(2, 0, 2.5), run(4, 50, 4.0)]

    points = medians(runs)

    assert [(point.case.model_ms, point.case.parallelism) for point in points] == [
        *[(0, 1), (0, 2), (0, 4)],
        *[(50, 1), (50, 4)],
    ]
    assert [point.scaling for point in points] == pytest.approx([1, 1.6, 2, 1, 2.5])


def test_medians_of_a_platform_whose_processes_are_out_of_sight() -> None:
    case = Case(2, 0, 100)

    (point,) = medians([Run(case, repeat, 2.0, 3.0, 0, {}, None) for repeat in (1, 2)])

    assert (point.cpu_ms, point.peak_rss_mb, point.efficiency) == ({}, None, None)


@pytest.mark.parametrize("parallelism", [1, 2, 3, 7, 16, 64])
@pytest.mark.parametrize("model_ms", [0, 10, 50, 60_000])
def test_items_keep_every_worker_busy_to_the_last_round(parallelism: int, model_ms: int) -> None:
    items = items_for(parallelism, model_ms)

    assert items >= parallelism
    assert items % parallelism == 0
