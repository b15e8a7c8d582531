"""Options that several commands share."""

import argparse
import os
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from rnlib.clevr.layout import ClevrDirectory
from rnlib.clevr.unknown_words import UNKNOWN_WORDS
from rnlib.errors import ConfigError
from rnlib.fields import Field, check_names, convert_field, fields_text
from rnlib.model.pretrained import released
from rnlib.runs.profiles import load_yaml


class Several(argparse.Action):
    """Action of an option that takes one or more values: given again, it takes more. The first replace the default."""

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, dest, nargs="+", **options)

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option: str | None = None) -> None:
        given = getattr(namespace, self.dest)
        setattr(namespace, self.dest, [*([] if given is self.default else given), *values])


def path(text: str) -> Path:
    """A path, as an option takes it. Nothing is none: else a variable that is not set would mean this folder."""
    if not text:
        raise argparse.ArgumentTypeError("expected a path, found nothing")
    return Path(text)


def require_other(out: Path, *inputs: Path) -> None:
    """Raise ConfigError where a command would write over one of the files that it reads."""
    for one in inputs:
        if os.path.realpath(out) == os.path.realpath(one):
            raise ConfigError(f"expected --out to name another file than {one}, which is read. Choose another name.")


def add_clevr(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """--clevr and --cache."""
    parser.add_argument(
        "--clevr",
        type=path,
        required=required,
        metavar="DIR",
        help="CLEVR set: the folder with images/, questions/ and scenes/",
    )
    parser.add_argument(
        "--cache",
        type=path,
        metavar="DIR",
        help="where prepared arrays go (default: $RNLIB_CACHE, else ~/.cache/rnlib)",
    )


def add_split(parser: argparse.ArgumentParser, kind: str) -> None:
    """--clevr, --cache and --split (see `split_of`); `kind` is the default: train, val or test."""
    add_clevr(parser)
    parser.add_argument("--split", help=f"default {kind}, or what the set has in its place")
    parser.set_defaults(kind=kind)


def split_of(options: argparse.Namespace) -> str:
    """The split of the set that was asked for. Raises DataError where none was and the set does not decide."""
    return options.split or ClevrDirectory.find(options.clevr).default_split(options.kind)


def add_training_splits(parser: argparse.ArgumentParser) -> None:
    """--train-split and --val-split."""
    for kind in ("train", "val"):
        parser.add_argument(
            f"--{kind}-split",
            default="",
            metavar="SPLIT",
            help=f"default {kind}, or what the set has in its place, such as CLEVR-CoGenT's {kind}A",
        )


def add_unknown_words(parser: argparse.ArgumentParser, default: str | None = "refuse") -> None:
    """--unknown-words."""
    parser.add_argument(
        "--unknown-words",
        choices=UNKNOWN_WORDS,
        default=default,
        help="questions with words that the vocabulary lacks: refuse (default), or skip, which leaves them out",
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """--device."""
    parser.add_argument("--device", default="auto", help="auto (a CUDA GPU where there is one), cpu or cuda")


def add_evaluated(parser: argparse.ArgumentParser, split: str) -> None:
    """--weights and the questions that they answer: --clevr, --cache, --split, --batch-size, --device, --precision."""
    parser.add_argument(
        "--weights",
        type=path,
        required=True,
        metavar="FILE",
        help=f".safetensors, the 2018 implementation's .pth, or one of {', '.join(released())}",
    )
    add_split(parser, split)
    add_unknown_words(parser)
    parser.add_argument("--batch-size", type=int, default=256, metavar="N", help="questions at once (default 256)")
    add_device(parser)
    parser.add_argument(
        "--precision", default="fp32", help="of the products: fp32 (default), bf16, or auto (what is faster here)"
    )


def add_set(parser: argparse.ArgumentParser, tables: Mapping[str, Mapping[str, Field]]) -> None:
    """--set FIELD=VALUE, with a table of the fields below the command's help.

    tables: fields by a heading; one that begins with spaces, and its fields, belong to a field of the table before.
    """
    parser.add_argument(
        "--set",
        action=Several,
        default=[],
        metavar="FIELD=VALUE",
        help="set fields, listed below; values are written as in YAML, such as lr=1e-3 or 'g_layers=[256, 256]'",
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = "\n".join(textwrap.wrap(parser.description or "", 100))
    parser.epilog = "\n\n".join(
        f"{heading}:\n{fields_text(fields, 2 + len(heading) - len(heading.lstrip()))}"
        for heading, fields in tables.items()
    )


def parse_set(assignments: Iterable[str]) -> dict[str, Any]:
    """["lr=1e-3", "g_layers=[8, 8]"] as a mapping of names to what a YAML file makes of the values."""
    values = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise ConfigError(f"expected --set NAME=VALUE, found '{assignment}'.")
        values[name] = _value(assignment, text)
    return values


def set_fields(assignments: Iterable[str], fields: Mapping[str, Field], what: str) -> dict[str, Any]:
    """The fields that --set names, converted to their types. ConfigError for an unknown one, or a wrong value."""
    values = parse_set(assignments)
    check_names(values, fields, what)
    return {name: convert_field(fields[name], value) for name, value in values.items()}


def _value(assignment: str, text: str) -> Any:
    try:
        value = load_yaml(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ConfigError(f"expected a value as in a YAML file, found --set '{assignment}'. Quote it.") from None
    return value if text else text  # YAML would make nothing of an empty value
