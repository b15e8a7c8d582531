"""The fields of presets and recipes: one flat name each, for files, notebooks and the command line alike.

A field's type, limits and meaning are written where it is declared (`Annotated[..., msgspec.Meta(description=...)]`).
"""

import textwrap
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec

from rnlib.errors import ConfigError

Seed = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]  # what torch and numpy take


class Field(NamedTuple):
    """A field of a struct. `type` and `default` are text for people; `annotation` is what msgspec converts to."""

    name: str
    type: str
    default: str
    meaning: str
    annotation: Any


def fields_of(struct: type[msgspec.Struct], leave_out: Iterable[str] = ()) -> dict[str, Field]:
    """The fields of a struct by name, in its order."""
    hints = get_type_hints(struct, include_extras=True)
    return {
        one.name: Field(
            one.name, _type_text(hints[one.name]), _default_text(one), _meaning(one.name, hints), hints[one.name]
        )
        for one in msgspec.structs.fields(struct)
        if one.name not in leave_out
    }


def convert_field(field: Field, value: Any) -> Any:
    """`value` as the field's type, as JSON holds it (lists, no tuples). Text that reads as a number is one.

    Where the field is a list, a single value is a list of one. Raises ConfigError naming field, expected and found.
    """
    if _type_text(field.annotation).startswith("list of") and isinstance(value, int | float | str) and value != "":
        value = [value]
    try:
        converted = msgspec.convert(value, field.annotation, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"parameter {field.name!r}: expected {field.type}, found {value!r} ({type(value).__name__}): {error}. "
            "Correct it in the YAML file, on the command line or in the parameters cell."
        ) from None
    plain = msgspec.json.decode(msgspec.json.encode(converted))
    if plain is None and converted is not None:  # JSON has no NaN and no infinity
        raise ConfigError(f"parameter {field.name!r}: expected a finite number, found {value!r}. Correct it.")
    return plain


def check_names(given: Iterable[str], known: Iterable[str], what: str) -> None:
    """Raise ConfigError for the first name that is not known, with the nearest one that is."""
    known = list(known)
    for name in given:
        if name not in known:
            hint = "".join(f" Did you mean {nearest!r}?" for nearest in get_close_matches(name, known, 1, cutoff=0.5))
            raise ConfigError(f"expected {what}, found {name!r}.{hint} Known names: {', '.join(known)}.")


def fields_text(fields: Mapping[str, Field], indent: int = 2) -> str:
    """A table for --help: name, type, default, meaning."""
    columns = [max(len(row[column]) for row in fields.values()) for column in (0, 1, 2)]
    lines = []
    for name, kind, default, meaning, _ in fields.values():
        head = f"{'':{indent}}{name:{columns[0]}}  {kind:{columns[1]}}  {default:{columns[2]}}  "
        lines += textwrap.wrap(meaning, 110, initial_indent=head, subsequent_indent=" " * len(head)) or [head]
    return "\n".join(lines)


def _meaning(name: str, hints: Mapping[str, Any]) -> str:
    notes = [one for one in getattr(hints[name], "__metadata__", ()) if isinstance(one, msgspec.Meta)]
    return next((one.description for one in notes if one.description), "")


def _default_text(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    return msgspec.json.encode(field.default).decode().replace(",", ", ")


def _type_text(annotation: Any) -> str:
    """A type for people, such as `list of int` or `adam or adamw`."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_text(arguments[0])
    if origin is Literal:
        return " or ".join(map(str, arguments))
    if origin in (Union, UnionType):
        return " or ".join(map(_type_text, arguments))
    if origin is tuple:
        length = "" if arguments[-1] is Ellipsis else f"{len(arguments)} "
        return f"list of {length}{_type_text(arguments[0])}"
    return "null" if annotation is NoneType else str(annotation.__name__)
