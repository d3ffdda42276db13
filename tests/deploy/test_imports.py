"""The imports of the function are the distributions that the image installs; packages import nothing."""

import ast
import re
import sys
import tomllib
from pathlib import Path

from tests.rigs.images import HANDLER, ROOT, modules

DISTRIBUTIONS = {"async_lru": "async-lru", "backports": "backports.zstd", "prometheus_client": "prometheus-client"}


def imports(path: Path) -> set[str]:
    """Return the dotted names that a module imports when it runs."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def distributions(paths: list[Path]) -> set[str]:
    """Return the distributions outside the project that these modules import."""
    packages = {name.split(".")[0] for path in paths for name in imports(path)}
    return {DISTRIBUTIONS.get(name, name) for name in packages - set(sys.stdlib_module_names) - {"pipeline"}}


def declared(lines: list[str]) -> set[str]:
    """Return the names of the distributions in requirements."""
    return {re.split(r"[\[<>=~!; ]", line, maxsplit=1)[0] for line in lines}


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_function_imports_exactly_the_declared_distributions() -> None:
    assert distributions(list(modules().values())) == declared(PROJECT["dependencies"])


def test_client_extra_is_enough_for_the_command_line() -> None:
    paths = [path for folder in ("client", "cli") for path in (HANDLER / folder).rglob("*.py")]
    extra = declared(PROJECT["optional-dependencies"]["client"])
    assert distributions(paths) - declared(PROJECT["dependencies"]) == extra


def test_packages_import_nothing() -> None:
    """A re-exported name could be imported past its layer."""
    packages = {name: imports(path) for name, path in modules().items() if name.endswith("__init__")}
    assert packages == {key: set() for key in packages}
