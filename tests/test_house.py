"""What the code promises of itself: short functions and modules, few parameters, one seam for the kinds of objects."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "rnlib"
LINES, PARAMETERS, CODE_LINES = 60, 6, 300  # at most: of a function, of a function, of a module without its prose
Function = ast.FunctionDef | ast.AsyncFunctionDef


def parameters(function: Function) -> int:
    """How many there are, but for self and cls, and for *args and **kwargs, which are passed on."""
    given = function.args
    names = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


def code_lines(source: str) -> int:
    """Lines that are neither blank nor comments nor docstrings."""
    prose = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | Function) and ast.get_docstring(node) is not None:
            text = node.body[0]
            prose |= set(range(text.lineno, (text.end_lineno or text.lineno) + 1))
    lines = [line.strip() for number, line in enumerate(source.splitlines(), 1) if number not in prose]
    return len([line for line in lines if line and not line.startswith("#")])


def too_large(source: str) -> Iterator[str]:
    """What of a module's source is beyond the limits."""
    if (count := code_lines(source)) > CODE_LINES:
        yield f"{count} lines of code"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Function):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > LINES or parameters(node) > PARAMETERS:
                yield f"{node.name}: {length} lines, {parameters(node)} parameters"


def test_functions_and_modules_are_short() -> None:
    found = {str(path.relative_to(PACKAGE)): list(too_large(path.read_text())) for path in PACKAGE.rglob("*.py")}
    assert not {path: what for path, what in found.items() if what}


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("def f(self, a, b, c, d, e, *, g, **h): pass", 0),
        ("def f(a, b, c, d, e, *, g, h): pass", 1),
        ("class C:\n async def f(self):\n" + "  x = 1\n" * 59, 0),
        ("class C:\n async def f(self):\n" + "  x = 1\n" * 60, 1),
        ('"""Prose."""\n# more\n\n' + "x = 1\n" * 300, 0),
        ("x = 1\n" * 301, 1),
    ],
)
def test_what_is_too_large_is_seen(code: str, found: int) -> None:
    assert len(list(too_large(code))) == found


def test_the_paths_in_contributing_name_at_most_seven_modules_each() -> None:
    text = (PACKAGE.parent / "CONTRIBUTING.md").read_text().partition("## Two paths")[2].partition("\n## ")[0]
    paths = [re.findall(r"^\| `(\S+\.py)`", part, re.M) for part in text.split("\n**")[1:]]
    assert len(paths) == 2 and all(3 < len(modules) <= 7 for modules in paths)
    assert not [module for modules in paths for module in modules if not (PACKAGE / module).is_file()]


def choices_by_kind(source: str) -> Iterator[int]:
    """Lines that choose by the name of a kind of objects: `x.objects == "pixels"`, `in`, `match`, a look-up by it."""
    for node in ast.walk(ast.parse(source)):
        looked = []
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
            literals = [one for part in parts for one in ast.walk(part) if isinstance(one, ast.Constant)]
            looked = parts if any(isinstance(one.value, str) for one in literals) else []
        elif isinstance(node, ast.Subscript):
            looked = [node.slice]
        elif isinstance(node, ast.Match):
            looked = [node.subject]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            looked = node.args
        if any(isinstance(part, ast.Attribute) and part.attr == "objects" for part in looked):
            yield node.lineno


def test_only_the_registry_looks_at_a_presets_kind_of_objects() -> None:
    registry = PACKAGE / "model/objects/__init__.py"
    found = {path: list(choices_by_kind(path.read_text())) for path in PACKAGE.rglob("*.py")}
    assert found.pop(registry)
    assert not {path.name: lines for path, lines in found.items() if lines}


@pytest.mark.parametrize(
    "code",
    [
        'preset.objects == "pixels"',
        '"none" != weights.preset.objects',
        'self.objects in ("state", "none")',
        "NAMES[preset.objects]",
        "NAMES.get(preset.objects)",
        'match preset.objects:\n case "state": pass',
    ],
)
def test_every_choice_by_kind_is_seen(code: str) -> None:
    assert list(choices_by_kind(code)) == [1]
