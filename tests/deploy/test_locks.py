"""The lock files pin everything by hash, and name no index."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.rigs.images import HANDLER, ROOT

ALL = ROOT / "requirements.lock"
LOCAL = ROOT / "requirements-local.lock"
IMAGE = HANDLER / "requirements.txt"
BASELINES = ROOT / "bench" / "compare" / "baselines" / "requirements.txt"
PIN = re.compile(r"(?P<name>[a-z0-9.-]+)==(?P<version>\S+)(?: ; (?P<marker>.+?))? \\")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?")
COMMENT = re.compile(r" *#.*")


def pins(path: Path) -> set[tuple[str, str, str]]:
    matches = [PIN.fullmatch(line) for line in path.read_text().splitlines()]
    return {(match["name"], match["version"], match["marker"] or "") for match in matches if match}


def requirements(*extras: str) -> set[str]:
    """Return the normalised names of the requirements in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = project["dependencies"] + [line for extra in extras for line in project["optional-dependencies"][extra]]
    return {re.split(r"[\[<>=~!; ]", line, maxsplit=1)[0].lower().replace("_", "-").replace(".", "-") for line in lines}


@pytest.mark.parametrize("path", [ALL, LOCAL, IMAGE, BASELINES])
def test_lock_contains_only_pins_with_hashes(path: Path) -> None:
    lines = path.read_text().splitlines()
    other = [line for line in lines if not any(form.fullmatch(line) for form in (PIN, HASH, COMMENT))]
    assert other == []
    assert len(pins(path)) == sum(bool(PIN.fullmatch(line)) for line in lines)


@pytest.mark.parametrize("path", [ALL, LOCAL, IMAGE, BASELINES])
def test_lock_names_no_index(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"://|index-url|find-links|trusted-host|\.(?:org|com|io)\b|@ ", text)


@pytest.mark.parametrize("path", [LOCAL, IMAGE])
def test_local_stack_and_image_get_the_tested_versions(path: Path) -> None:
    tested = {name: {pin[1] for pin in pins(ALL) if pin[0] == name} for name, _, _ in pins(path)}
    shipped = {name: {pin[1] for pin in pins(path) if pin[0] == name} for name in tested}
    assert shipped == tested


def test_locks_contain_the_requirements_of_pyproject() -> None:
    assert requirements("local", "dev") <= {name for name, _, _ in pins(ALL)}
    assert requirements("local") <= {name for name, _, _ in pins(LOCAL)}
    assert requirements() <= {name for name, _, _ in pins(IMAGE)}


def test_image_gets_no_tools() -> None:
    tools = requirements("local", "dev") - requirements()
    # Dependencies of aiohttp that are imported directly are required directly too.
    assert tools & {name for name, _, _ in pins(IMAGE)} == {"multidict"}


def test_local_stack_gets_nothing_of_development() -> None:
    development = requirements("dev") - requirements("local")
    assert development & {name for name, _, _ in pins(LOCAL)} == {"markdown-it-py"}, "which rich needs"
