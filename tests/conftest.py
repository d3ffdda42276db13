"""The fixtures that tests of several rooms use."""

pytest_plugins = ("tests.rigs.fixtures.in_process", "tests.rigs.fixtures.services")
