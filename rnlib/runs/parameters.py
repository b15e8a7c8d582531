"""A notebook's parameters: what its first code cell declares, and the check of what it was given.

The cell tagged `parameters` holds one literal a line and nothing computed:

    epochs: int = 2  # passes over the training questions

The next cell calls `validate_parameters`. papermill itself only warns of an unknown name
and checks no type, and YAML reads `1e-4` as a string.

A notebook that declares `preset` trains a network. It takes every other field of presets and recipes too, whether its
cell has a line for it or not.
"""

import ast
import io
import json
import sys
import tokenize
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pandas as pd

from rnlib.errors import ConfigError
from rnlib.fields import Field, convert_field
from rnlib.runs.paths import notebook_path, read_notebook
from rnlib.training.recipe import FIELDS, recipe_of

TYPES = ("int", "float", "str", "bool", "list[str]", "list[int]", "list[float]", "dict")
_FINITE = Annotated[float, msgspec.Meta(ge=-sys.float_info.max, le=sys.float_info.max)]
_ANNOTATIONS: dict[str, Any] = {"int": int, "float": _FINITE, "str": str, "bool": bool, "dict": dict[str, Any]}
FORM = "`name: type = literal  # help`"


class Parameter(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One line of the parameters cell. `type` is one of TYPES, or that and " | None"."""

    name: str
    type: str
    default: Any
    help: str


def declared_parameters(notebook: Path) -> list[Parameter]:
    """The parameters that a notebook file declares, in its order.

    Raises ConfigError, naming the line, for anything but a declaration with a type, a
    literal of that type and a help text; and where the cell is missing.
    """
    cells = [cell for cell in read_notebook(notebook)["cells"] if cell["cell_type"] == "code"]
    tagged = [cell for cell in cells if "parameters" in cell.get("metadata", {}).get("tags", [])]
    if not tagged or tagged[0] is not cells[0]:
        raise ConfigError(
            f"expected the first code cell of {notebook.name} to be tagged 'parameters', found "
            f"{'another cell' if tagged else 'no cell'} with that tag. Add the tag (JupyterLab: property inspector)."
        )
    return _parse(notebook.name, "".join(tagged[0]["source"]))


def accepted_fields(declared: Iterable[Parameter]) -> dict[str, Field]:
    """The fields of presets and recipes that a notebook takes: all where it declares `preset`, else none."""
    return FIELDS if any(parameter.name == "preset" for parameter in declared) else {}


def check_parameters(declared: Iterable[Parameter], given: Mapping[str, Any]) -> dict[str, Any]:
    """All declared parameters with their values: those given, converted to their types, else the defaults.

    After them come the undeclared fields that were given (`accepted_fields`). Raises ConfigError for any other name
    (it names the nearest one), for a value that does not fit its type, and for fields that make no recipe together.
    """
    by_name = {parameter.name: parameter for parameter in declared}
    fields = accepted_fields(by_name.values())
    for name in given:
        if name not in by_name and name not in fields:
            raise _unknown(name, {**by_name, **fields})
    values = {
        name: _converted(name, parameter.type, given[name]) if name in given else parameter.default
        for name, parameter in by_name.items()
    }
    values |= {name: value for name, value in given.items() if name not in by_name}
    values |= {name: convert_field(fields[name], value) for name, value in values.items() if name in fields}
    if fields:
        recipe_of(values)
    return values


def validate_parameters(notebook: str, namespace: dict[str, Any]) -> dict[str, Any]:
    """For a notebook's second code cell: `validate_parameters("02_train_state_descriptions", globals())`.

    Checks the values in the namespace against the cell of
    `notebooks/<notebook>.ipynb`, writes them back converted, and returns them by name.
    Raises ConfigError as `check_parameters`, also for an undeclared name that papermill injected.
    """
    declared = declared_parameters(notebook_path(notebook))
    names = [parameter.name for parameter in declared]
    fields = accepted_fields(declared)
    for name in _injected(namespace):
        if name not in names and name not in fields:
            raise _unknown(name, [*names, *fields])
    for name in names:
        if name not in namespace:
            raise ConfigError(
                f"expected the parameter {name!r} of {notebook}, found no such variable. "
                "Run the parameters cell first, and keep all its lines."
            )
    values = check_parameters(declared, {name: namespace[name] for name in (*names, *fields) if name in namespace})
    namespace.update(values)
    return values


def parameters_table(notebook: str) -> pd.DataFrame:
    """A notebook's parameters as a table: name (index), type, default, help."""
    rows = [msgspec.structs.asdict(parameter) for parameter in declared_parameters(notebook_path(notebook))]
    return pd.DataFrame(rows, columns=["name", "type", "default", "help"]).set_index("name")


def _parse(where: str, source: str) -> list[Parameter]:
    """The declarations in the source of a parameters cell of the notebook `where`."""

    def fault(line: int, found: str) -> ConfigError:
        text = source.splitlines()[line - 1].strip()
        return ConfigError(
            f"{where}, parameters cell, line {line}: expected {FORM} with a type of {', '.join(TYPES)}, "
            f"with or without '| None'; found {found}: {text!r}. Compute nothing in this cell."
        )

    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise fault(error.lineno or 1, f"a syntax error ({error.msg})") from None
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}
    declared: dict[str, Parameter] = {}
    for statement in statements:
        line = statement.lineno
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            raise fault(line, "something else")
        if statement.end_lineno != line:
            raise fault(line, "more than one line")
        name, kind = statement.target.id, ast.unparse(statement.annotation)
        if kind.removesuffix(" | None") not in TYPES:
            raise fault(line, f"the type {kind}")
        if name in declared:
            raise fault(line, f"{name!r} a second time")
        try:
            if statement.value is None:
                raise ValueError
            default = ast.literal_eval(statement.value)
        except ValueError:
            raise fault(line, "no literal value") from None
        if not comments.get(line):
            raise fault(line, "no help text after '#'")
        try:
            default = _converted(name, kind, default)
        except ConfigError as error:
            raise fault(line, f"a default that does not fit ({error})") from None
        declared[name] = Parameter(name=name, type=kind, default=default, help=comments[line])
    return list(declared.values())


def _injected(namespace: Mapping[str, Any]) -> list[str]:
    """Names assigned by cells that papermill injected, found among the cells executed so far (IPython's `In`)."""
    names = []
    for source in namespace.get("In", []):
        if not source.startswith("# Parameters\n"):
            continue
        for statement in ast.parse(source).body:
            targets = statement.targets if isinstance(statement, ast.Assign) else []
            names += [target.id for target in targets if isinstance(target, ast.Name)]
    return names


def _unknown(name: str, known: Iterable[str]) -> ConfigError:
    known = list(known)
    hint = "".join(f" Did you mean {nearest!r}?" for nearest in get_close_matches(name, known, 1, cutoff=0.5))
    return ConfigError(
        f"expected one of the declared parameters, found {name!r}.{hint} The parameters are: {', '.join(known)}."
    )


def _converted(name: str, kind: str, value: Any) -> Any:
    """`value` as `kind`, where that is unambiguous; else ConfigError naming parameter, expected and found."""
    plain = kind.removesuffix(" | None")
    if value is None and plain != kind:
        return None
    if plain.startswith("list["):
        if isinstance(value, dict) or value is None:
            raise _mistyped(name, kind, value)
        if not isinstance(value, list):  # papermill -p weights FILE: a list of one
            return [_converted(name, plain[5:-1], value)]
        return [_converted(f"{name}[{index}]", plain[5:-1], item) for index, item in enumerate(value)]
    if (plain == "bool" and isinstance(value, (int, float)) and not isinstance(value, bool)) or (
        plain == "dict" and not _survives_json(value)
    ):
        raise _mistyped(name, kind, value)
    try:
        return msgspec.convert(value, _ANNOTATIONS[plain], strict=False)
    except msgspec.ValidationError:
        raise _mistyped(name, kind, value) from None


def _survives_json(value: Any) -> bool:
    # done.json keeps the parameters and is compared with them.
    try:
        return bool(json.loads(json.dumps(value)) == value)
    except TypeError:
        return False


def _mistyped(name: str, kind: str, value: Any) -> ConfigError:
    return ConfigError(
        f"parameter {name!r}: expected {kind}, found {value!r} ({type(value).__name__}). "
        "Correct it in the YAML file, on the command line or in the parameters cell."
    )
