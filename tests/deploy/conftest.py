"""Checkouts for the tests of the Makefile."""

from pathlib import Path

import pytest

from tests.rigs.checkout import SHOW_ARGUMENTS, make_checkout, write_program


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkout in a path with a space."""
    target = tmp_path / "a checkout"
    make_checkout(target)
    return target


@pytest.fixture
def ready(folder: Path) -> Path:
    """The checkout with an up-to-date .venv, whose python prints its arguments, one a line."""
    write_program(folder / ".venv" / "bin" / "python", SHOW_ARGUMENTS)
    for stamp in (".installed-local", ".installed"):
        (folder / ".venv" / stamp).touch()
    return folder
