"""A chart is told apart by the figures that it shows."""

from bench.kit.charts import as_svg, new_figure
from tests.rigs.bench.charts import same_figures


def chart(*heights: float, height: float = 1) -> str:
    figure, (left, right) = new_figure(2, (4, 2))
    left.plot([1, 2], heights)
    right.bar(["a"], [height])
    return as_svg(figure)


def test_charts_are_the_same_while_they_show_the_same_figures() -> None:
    assert chart(1, 2) == chart(1, 2)
    assert same_figures(chart(1, 2), chart(1, 2 + 1e-9))
    assert not same_figures(chart(1, 2), chart(1, 3))
    assert not same_figures(chart(1, 2), chart(1, 2, height=2))
    assert not same_figures("", "")
