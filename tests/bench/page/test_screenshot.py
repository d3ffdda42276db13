"""The picture in the README is one of a batch that runs."""

from pathlib import Path

import pytest
import typer
from PIL import Image

from bench.kit.browser import NoBrowserError
from bench.page import screenshot
from tests.rigs.images import ROOT


@pytest.mark.attack
def test_a_small_batch_has_its_picture_taken(tmp_path: Path) -> None:
    out = tmp_path / "new" / "page.png"
    screenshot.main(out, items=60)
    with Image.open(out) as picture:
        assert picture.width == screenshot.SIZE["width"]
        assert picture.height >= screenshot.SIZE["height"]
        pixels = picture.convert("RGB").tobytes()
    # The bar of what has succeeded, as the page draws it in light.
    assert b"\x2f\x9e\x63" * 10 in pixels


def test_the_readme_shows_one_that_is_not_large() -> None:
    path = ROOT / "bench" / "results" / "page.png"
    assert f"](bench/results/{path.name})" in (ROOT / "README.md").read_text()
    assert path.stat().st_size < 150_000


def test_without_a_browser_it_ends_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none(_environment: object) -> object:
        raise NoBrowserError("no Chromium or Chrome here")

    monkeypatch.setattr(screenshot, "open_browser", none)
    with pytest.raises(typer.Exit):
        screenshot.main(Path("unused.png"))
    assert capsys.readouterr().err == "error: no Chromium or Chrome here\n"
