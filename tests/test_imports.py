"""Imports go one way: see the docstring of rnlib."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "rnlib"
# Each package with those that it may import. Modules beside the packages (rnlib/files.py) import none of these.
BELOW = {
    "clevr": set(),
    "synthesis": {"clevr"},
    "model": {"clevr"},
    "evaluation": {"clevr", "synthesis", "model"},
    "training": {"clevr", "synthesis", "model", "evaluation"},
    "retrieval": {"clevr", "synthesis", "model", "evaluation", "training"},
    "runs": {"clevr", "synthesis", "model", "evaluation", "training", "retrieval"},
    "widgets": {"clevr", "synthesis", "model", "evaluation", "training", "retrieval"},
    "commands": {"clevr", "synthesis", "model", "evaluation", "training", "retrieval", "runs"},
}


def imported(source: str) -> Iterator[str]:
    """The modules that some code imports, at its top or anywhere in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "write imports from rnlib on"
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def packages(source: str) -> set[str]:
    """The packages of rnlib that some code imports from."""
    names = (name.split(".") for name in imported(source))
    return {name[1] for name in names if name[0] == "rnlib" and len(name) > 1} & set(BELOW)


def test_every_package_has_its_place() -> None:
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == set(BELOW)


@pytest.mark.parametrize("package", [*BELOW, ""])
def test_packages_import_only_what_is_below_them(package: str) -> None:
    files = list((PACKAGE / package).rglob("*.py") if package else PACKAGE.glob("*.py"))
    wrong = {
        str(file.relative_to(PACKAGE)): above
        for file in files
        if (above := packages(file.read_text()) - BELOW.get(package, set()) - {package})
    }
    assert files and not wrong


@pytest.mark.parametrize(
    "source",
    [
        "import rnlib.model.network",
        "from rnlib.model import network",
        "from rnlib import model",
        "def f():\n from rnlib.model import x",
    ],
)
def test_every_way_to_import_is_seen(source: str) -> None:
    assert packages(source) == {"model"}
