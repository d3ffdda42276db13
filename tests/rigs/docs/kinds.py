"""How each command line of the pages is run here."""

from enum import Enum

from tests.rigs.docs.commands import Command
from tests.rigs.docs.pages import RECIPES

COMING_OVER = "Coming from three functions"


class Kind(Enum):
    """The test that runs a command line."""

    GATEWAY = "test_gateway_calls: a call to the local gateway"
    OPTIONS = "test_gateway_calls: options for such a call"
    EXPORT = "test_gateway_calls: variables"
    RECIPE = "test_recipes"
    DEPLOY = "test_deploy_steps"
    MAKE = "test_developer_commands: make -n"
    MODULE = "test_developer_commands: read by the command line of a module"
    PYTEST = "test_developer_commands: tests are collected"
    INSTALL = "test_developer_commands: the package is looked up"
    HELP = "test_developer_commands: an option that --help shows"


BEGINNINGS = {
    ("curl",): Kind.GATEWAY,
    ("faas-cli", "invoke"): Kind.GATEWAY,
    ("pipeline",): Kind.GATEWAY,
    ("faas-cli", "secret", "create"): Kind.DEPLOY,
    ("faas-cli", "up"): Kind.DEPLOY,
    ("openssl", "rand"): Kind.DEPLOY,
    ("export",): Kind.EXPORT,
    ("make",): Kind.MAKE,
    ("python", "-m", "pytest"): Kind.PYTEST,
    ("python", "-m", "bench"): Kind.MODULE,
    ("python", "-m", "pipeline"): Kind.MODULE,
    ("python", "-m", "pip"): Kind.INSTALL,
    ("pip", "install"): Kind.INSTALL,
}


class NoWayError(Exception):
    """There is no way to run a command line of a page."""


def kind_of(command: Command) -> Kind:
    """Find out how a command line is run; NoWayError if it is of no kind."""
    if command.page == RECIPES.name and command.line not in RECIPES.chapter(COMING_OVER):
        return Kind.RECIPE
    # A program that only feeds another one is not checked.
    found = {_kind_of_part(part) for part in command.parts() if part[:1] not in (["echo"], ["cat"])}
    kind = found.pop() if len(found) == 1 else None
    if kind is None:
        raise NoWayError(f"{command.place}: no way to run this one: {command.text}")
    return kind


def _kind_of_part(words: list[str]) -> Kind | None:
    if len(words) < 2:
        return None
    beginning = [word.partition(".")[0] if place == 2 else word for place, word in enumerate(words[:3])]
    kind = next((BEGINNINGS[key] for end in (3, 2, 1) if (key := tuple(beginning[:end])) in BEGINNINGS), None)
    if kind is Kind.GATEWAY and words[0] != "pipeline":
        called = any("/function/" in word for word in words) if words[0] == "curl" else words[2][:1] != "-"
        return kind if called else Kind.OPTIONS
    # Such an option changes the shell, or only prints.
    return Kind.HELP if words[0] == "pipeline" and words[1].startswith("-") else kind
