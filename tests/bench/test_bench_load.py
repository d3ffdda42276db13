"""What the load run says of its samples."""

from pathlib import Path

import pytest

from bench.load_report import Figures, Sample, growth, percentiles, write_report

MACHINE = {"command": "c", "date": "d", "code": "e", "cpu": "f", "cores": 2, "load_before": 1.0, "python": "3.11"}


def test_growth_is_that_of_the_second_half() -> None:
    samples = [Sample(second, 0, {"redis": 100 + max(0, second - 50) * 0.5}) for second in range(100)]
    assert growth(samples, "redis") == pytest.approx(30)
    assert growth([Sample(second, 0, {"redis": max(0, 50 - second)}) for second in range(100)], "redis") == 0


def test_percentiles_are_in_order() -> None:
    assert percentiles([value / 100 for value in range(101)]) == pytest.approx((0.5, 0.95, 0.99, 1.0))


def test_a_report_names_what_is_wrong(tmp_path: Path) -> None:
    samples = [Sample(second, second, {"pipeline-0": 90.0}) for second in range(4)]
    write_report(
        tmp_path / "load.md", Figures(100, [2.0, 5.0], 0.5, 1.5, [0.01, 0.02], samples, ["load-03: x"]), MACHINE
    )
    page = (tmp_path / "load.md").read_text()
    assert "| items a second | 20 |" in page
    assert "| a batch of 100 items alone / among the others | 0.5 s / 1.5 s |" in page
    assert "| deepest queue | 3 |" in page
    assert "| pipeline-0 | 90 | 90 | 90 | 90 | +0.0 |" in page
    assert page.endswith("load-03: x\n")
