from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench.speed.parallelism.figures import BARE, Case, Point, Run, medians
from bench.speed.parallelism.show import draw_costs, draw_efficiency, draw_ratios, draw_throughput

Draw = Callable[[Path, Sequence[Point]], None]
CHARTS: tuple[Draw, ...] = (draw_throughput, draw_ratios, draw_efficiency, draw_costs)


def points(*model_times: int) -> list[Point]:
    cpu = {"function": 0.5, "gateway": 0.7}
    return medians(
        [
            Run(Case(way, workers, ms, 20), 1, 2.0 / workers, 3.0, 1, 0, cpu, None, {})
            for way in (BARE, "direct")
            for ms in model_times
            for workers in (1, 2)
        ]
    )


def texts(path: Path) -> str:
    return " ".join(text for text in ET.parse(path).getroot().itertext() if text.strip())


@pytest.mark.parametrize(
    ("draw", "expected"),
    [
        (draw_throughput, ["items per second", "bare", "direct", "ideal", "0 ms model", "50 ms model"]),
        (draw_ratios, ["throughput / bare queue's", "direct", "0 ms model", "50 ms model"]),
        (draw_efficiency, ["efficiency (ideal makespan / measured)", "bare", "direct", "50 ms model"]),
        (draw_costs, ["processor ms per item", "function", "gateway", "bare, 0 ms model", "direct, 0 ms model"]),
    ],
)
def test_a_chart_names_its_axes_and_lines(tmp_path: Path, draw: Draw, expected: list[str]) -> None:
    draw(tmp_path / "chart.svg", points(0, 50))

    shown = texts(tmp_path / "chart.svg")
    for text in ("queue-worker parallelism", *expected):
        assert text in shown


def test_a_model_that_answers_at_once_has_no_ideal_and_no_efficiency(tmp_path: Path) -> None:
    draw_throughput(tmp_path / "throughput.svg", points(0))
    draw_efficiency(tmp_path / "efficiency.svg", points(0, 50))

    assert "ideal" not in texts(tmp_path / "throughput.svg")
    assert "0 ms model" not in texts(tmp_path / "efficiency.svg").replace("50 ms model", "")


def test_the_bare_queue_is_not_compared_with_itself(tmp_path: Path) -> None:
    draw_ratios(tmp_path / "chart.svg", points(0))

    assert "bare" not in texts(tmp_path / "chart.svg").replace("bare queue's", "")


@pytest.mark.parametrize("draw", CHARTS)
def test_the_same_figures_give_the_same_bytes(tmp_path: Path, draw: Draw) -> None:
    for name in ("one.svg", "two.svg"):
        draw(tmp_path / name, points(0, 50))

    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
