from pathlib import Path
from xml.etree import ElementTree as ET

from bench.charts import draw_parallelism
from bench.figures import Case, Run, medians


def runs(*model_times: int) -> list[Run]:
    return [Run(Case(workers, ms, 20), 1, 2.0 / workers, 3.0, 0, {}, None) for ms in model_times for workers in (1, 2)]


def texts(path: Path) -> str:
    return " ".join(text for text in ET.parse(path).getroot().itertext() if text.strip())


def test_the_chart_names_its_axes_and_lines(tmp_path: Path) -> None:
    draw_parallelism(tmp_path / "chart.svg", medians(runs(0, 50)))

    shown = texts(tmp_path / "chart.svg")
    assert "queue-worker parallelism" in shown
    assert "items per second" in shown
    assert "efficiency (ideal makespan / measured)" in shown
    assert "0 ms model" in shown
    assert "50 ms model" in shown


def test_without_a_model_time_there_is_no_efficiency_to_draw(tmp_path: Path) -> None:
    draw_parallelism(tmp_path / "chart.svg", medians(runs(0)))

    shown = texts(tmp_path / "chart.svg")
    assert "items per second" in shown
    assert "efficiency" not in shown


def test_the_same_figures_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        draw_parallelism(tmp_path / name, medians(runs(0, 50)))

    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
