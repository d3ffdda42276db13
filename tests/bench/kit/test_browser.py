"""A browser is found where it may be; where there is none, it is said what to install."""

from pathlib import Path

import pytest

from bench.kit import browser
from bench.kit.browser import NAMES, NoBrowserError, find_browser


def install(folder: Path, name: str) -> str:
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("name", NAMES)
def test_a_browser_of_any_name_on_the_path_is_found(tmp_path: Path, name: str) -> None:
    found = install(tmp_path, name)
    assert find_browser({"PATH": str(tmp_path)}) == found


def test_one_that_is_named_goes_first(tmp_path: Path) -> None:
    install(tmp_path, NAMES[0])
    mine = install(tmp_path, "mine")
    assert find_browser({"PATH": str(tmp_path), "BROWSER_PATH": mine}) == mine


def test_an_app_of_a_mac_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = install(tmp_path, "Google Chrome")
    monkeypatch.setattr(browser, "MAC_APPS", (Path("/nowhere"), Path(app)))
    assert find_browser({"PATH": "/nowhere"}) == app


def test_without_one_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "MAC_APPS", ())
    with pytest.raises(NoBrowserError, match=r"apt-get install chromium.*BROWSER_PATH"):
        find_browser({"PATH": "/nowhere"})


def test_one_that_is_named_and_is_not_there_is_told() -> None:
    with pytest.raises(NoBrowserError, match="BROWSER_PATH is '/nowhere/chrome', and there is no such file"):
        find_browser({"PATH": "/usr/bin", "BROWSER_PATH": "/nowhere/chrome"})
