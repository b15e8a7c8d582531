"""Packages whose names are imported when first used (PEP 562), so that a help text need not wait for torch."""

import ast
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any


def names_of(file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of the package whose `__init__.py` is `file`.

    The names are those that the file imports under `if TYPE_CHECKING`, where type checkers and editors see them too. A
    name that is also the name of a module of the package must be imported in the usual way: once that module is
    imported, Python finds the module and does not ask `__getattr__`.
    """
    modules = {
        name.name: statement.module
        for block in ast.parse(Path(file).read_text(encoding="utf-8")).body
        if isinstance(block, ast.If)
        for statement in block.body
        if isinstance(statement, ast.ImportFrom) and statement.module
        for name in statement.names
    }

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"{file} has no name {name!r}; it has {', '.join(modules)}")
        return getattr(import_module(modules[name]), name)

    return get, lambda: list(modules), list(modules)
