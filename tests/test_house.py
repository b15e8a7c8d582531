"""What the house promises of itself: one seam for the kinds of objects."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "rnlib"


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
