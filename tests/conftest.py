"""The fixtures that tests of several rooms use, in an environment that does not depend on the caller's."""

import pytest

from tests.rigs.environment import enter_clean_environment

pytest_plugins = ("tests.rigs.fixtures.event_loop", "tests.rigs.fixtures.in_process", "tests.rigs.fixtures.services")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart() -> None:
    """Clean the environment before tests are imported and processes for them start."""
    enter_clean_environment()
