"""Presets: the architecture of a network as plain data.

The four of the 2018 implementation, a question-only baseline, and two small networks for a CPU
(small-sd, small-fp: for a CPU) ship in `presets.json`. Any
other is a JSON file with the same fields, or the 2018 implementation's own config.json followed by
'#name' of the entry wanted. A preset is stored with every set of weights.
"""

import os
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from rnlib.errors import ConfigError
from rnlib.fields import fields_of
from rnlib.files import read_json

if TYPE_CHECKING:
    import rnlib.model.objects

PRESETS_FILE = Path(__file__).with_name("presets.json")

Size = Annotated[int, Meta(ge=1, le=1 << 20)]
Fraction = Annotated[float, Meta(ge=0, lt=1)]


class Preset(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a network is made of."""

    name: Annotated[str, Meta(description="what the preset is called")]
    objects: Annotated[
        str,
        Meta(
            description="pixels: cells of a convolutional map; state: one row per object of a state description; none: "
            "the question alone; or another kind of rnlib.model.objects"
        ),
    ]
    image_size: Annotated[
        int,
        Meta(
            ge=32,
            le=4096,
            multiple_of=16,
            description="side of the square picture in pixels; 128 gives 8 x 8 = 64 objects",
        ),
    ] = 128
    conv_channels: Annotated[
        tuple[Size, ...],
        Meta(description="kernels of each convolution (3x3, stride 2, padding 1, batch-norm, ReLU)"),
    ] = (24, 24, 24, 24)
    describing_channels: Annotated[
        tuple[Size, ...],
        Meta(
            description="kernels of 3x3 convolutions (stride 1) of a head that describes each cell: the objects are "
            "the state_rows likeliest cells that hold one, as 18 numbers (x, y, z and probabilities of 15 attribute "
            "values); empty: all cells, as their features"
        ),
    ] = ()
    state_rows: Annotated[int, Meta(ge=1, le=255, description="rows a scene is padded to with zeros")] = 12
    state_attributes: Annotated[
        Literal["codes", "one-hot"],
        Meta(description="codes: x, y, z and 4 integer codes (7 numbers); one-hot: x, y, z and 15 flags (18 numbers)"),
    ] = "codes"
    mask_padding: Annotated[
        bool, Meta(description="leave pairs with padding rows out of the sum (the 2018 implementation sums them too)")
    ] = False
    word_embedding: Annotated[Size, Meta(description="size of a word's embedding")] = 32
    lstm_hidden: Annotated[Size, Meta(description="size of the question's encoding")] = 128
    question_length: Annotated[
        int, Meta(ge=1, le=255, description="words a question is padded to with zeros, which the LSTM reads too")
    ] = 50
    reverse_question: Annotated[
        bool, Meta(description="the LSTM reads from the padding and the last word to the first")
    ] = True
    relations: Annotated[
        bool,
        Meta(
            description="sum g over all pairs of objects; false: f reads all objects in one row and the question, the "
            "baseline without relations (CNN+LSTM)"
        ),
    ] = True
    g_layers: Annotated[tuple[Size, ...], Meta(description="widths of g's layers")] = (256, 256, 256, 256)
    question_layer: Annotated[
        int,
        Meta(
            ge=0,
            description="layer of g (from 0) whose input the question joins: 0 in the original, 2 in the IR presets",
        ),
    ] = 0
    aggregation_layer: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(
            description="layer of g (from 0) after which pairs are summed, each place with a learned weight of its own "
            "(AVF-RN, Messina et al. 2019); null: after the last layer, a plain sum (the paper)"
        ),
    ] = None
    f_layers: Annotated[tuple[Size, Size], Meta(description="widths of f's two hidden layers")] = (256, 256)
    dropout: Annotated[Fraction, Meta(description="probability before f's last layer")] = 0.5

    def __post_init__(self) -> None:
        if not self.most_objects:
            return
        if not self.conv_channels:
            raise ConfigError(f"preset '{self.name}': expected at least one convolution in conv_channels, found none.")
        if self.describing_channels and not (self.describes and self.mask_padding):
            raise ConfigError(
                f"preset '{self.name}': expected describing_channels with objects 'pixels' and mask_padding, found "
                f"objects '{self.objects}' and mask_padding {self.mask_padding}."
            )
        if not self.relations:
            return
        if not self.g_layers:
            raise ConfigError(f"preset '{self.name}': expected at least one layer in g_layers, found none.")
        if self.question_layer >= len(self.g_layers):
            raise ConfigError(
                f"preset '{self.name}': expected question_layer below the {len(self.g_layers)} layers of g, "
                f"found {self.question_layer}."
            )
        if self.aggregation_layer is not None and (
            not self.kind.fixed or not self.aggregation_layer < self.question_layer
        ):
            raise ConfigError(
                f"preset '{self.name}': expected aggregation_layer inside g with objects 'pixels' (only cells have "
                f"places of their own) and before question_layer, found aggregation_layer {self.aggregation_layer}, "
                f"objects '{self.objects}' and question_layer {self.question_layer}."
            )

    @property
    def kind(self) -> "type[rnlib.model.objects.ObjectEncoder]":
        """The class that makes the objects, which says what differs between kinds of them. It imports torch."""
        from rnlib.model.objects import encoder_class

        return encoder_class(self)

    @property
    def object_size(self) -> int:
        """Numbers that describe one object, as g sees it."""
        return self.kind.size(self)

    @property
    def describes(self) -> bool:
        """Whether a head describes the cells that hold an object, and only those are objects."""
        return self.kind.describes

    @property
    def sums_pairs(self) -> bool:
        """Whether the network has a g: not for the question alone, nor for the baseline without relations."""
        return self.relations and self.most_objects > 0

    @property
    def answer_inputs(self) -> int:
        """Numbers that f reads: the sum over pairs, the question, or all objects and the question."""
        if self.sums_pairs:
            return self.g_layers[-1]
        return self.most_objects * self.object_size + self.lstm_hidden

    @property
    def most_objects(self) -> int:
        """Objects of a scene, padding included: cells of a map, or rows of a state description."""
        return self.kind.most(self)

    @property
    def least_memory(self) -> int:
        """Bytes that the network needs at least: its weights, and one layer of g on all pairs of one scene."""
        chain = (3, *self.conv_channels, *self.describing_channels) if self.kind.reads_pictures else ()
        numbers = 9 * sum(before * after for before, after in pairwise(chain))
        numbers += 4 * self.lstm_hidden * (self.word_embedding + self.lstm_hidden)
        numbers += sum(before * after for before, after in pairwise((self.answer_inputs, *self.f_layers)))
        if self.sums_pairs:
            numbers += sum(before * after for before, after in pairwise((2 * self.object_size, *self.g_layers)))
            numbers += self.lstm_hidden * self.g_layers[self.question_layer]
            numbers += self.most_objects**2 * max(self.g_layers)
        return 4 * numbers

    @property
    def picture_size(self) -> int | None:
        """Side of the pictures that the network reads, in pixels; None where it reads none."""
        return self.image_size if self.kind.reads_pictures else None

    @property
    def cells_per_side(self) -> int:
        """Rows and columns of the convolutional map."""
        side = self.image_size
        for _ in self.conv_channels:
            side = (side + 1) // 2
        return side


def require_memory(preset: Preset, copies: int = 1) -> None:
    """Raise ConfigError where a preset's network, kept `copies` times, is too large for this machine."""
    if not hasattr(os, "sysconf"):
        return
    there, needed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), copies * preset.least_memory
    if needed > there:
        raise ConfigError(
            f"preset '{preset.name}': expected a network that fits in this machine's {there / 1e9:.0f} GB of memory, "
            f"found one that needs {needed / 1e9:,.0f} GB. Use smaller layers, or fewer objects (a smaller image_size, "
            "or more convolutions)."
        )


# The fields that a parameter of a training replaces. Name and objects make another preset: give a file for those.
PRESET_FIELDS = fields_of(Preset, leave_out=("name", "objects"))


def shipped_presets() -> dict[str, Preset]:
    """The presets that ship with rnlib, by name."""
    entries: dict[str, dict[str, Any]] = read_json(PRESETS_FILE)
    return {name: _preset({"name": name, **fields}, PRESETS_FILE) for name, fields in entries.items()}


def preset_names() -> list[str]:
    """Their names alone, without the time that it takes to import torch."""
    return list(read_json(PRESETS_FILE))


def load_preset(which: str | Path, fields: Mapping[str, object] | None = None) -> Preset:
    """A preset by its shipped name, or from a file, with some fields replaced.

    A file is JSON with the fields of Preset, or the 2018 implementation's config.json with '#entry' after
    its path. Values may be of their type or text ("0.2", "true").
    """
    text = str(which)
    path, _, entry = text.partition("#")
    shipped = shipped_presets()
    if text in shipped:
        preset = shipped[text]
    elif os.path.isfile(path):
        preset = _from_file(Path(path), entry)
    else:
        raise ConfigError(
            f"no preset '{text}': expected one of {', '.join(shipped)}, or the path of a preset file (JSON)."
        )
    if not fields:
        return preset
    return _preset({**msgspec.to_builtins(preset), **fields}, f"preset '{preset.name}' with fields replaced")


def preset_of(parameters: Mapping[str, Any]) -> Preset:
    """The preset that a training's parameters name (`preset`), with the fields of it that they replace."""
    fields = {name: value for name, value in parameters.items() if name in PRESET_FIELDS}
    return load_preset(parameters["preset"], fields)


def _preset(fields: Mapping[str, object], source: object) -> Preset:
    try:
        return msgspec.convert(fields, Preset, strict=False)
    except msgspec.ValidationError as error:
        known = ", ".join(Preset.__struct_fields__)
        raise ConfigError(f"{source}: {error}. The fields of a preset are: {known}.") from None


def _from_file(path: Path, entry: str) -> Preset:
    content = read_json(path, kind=ConfigError)
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected a JSON object with a preset's fields, found a {type(content).__name__}.")
    if "hyperparams" not in content:
        return _preset({"name": path.stem, **content}, path)
    entries = content["hyperparams"]
    if not isinstance(entries, dict) or not entries:
        raise ConfigError(f"{path}: expected networks by name in 'hyperparams', found {entries!r:.60}.")
    name = entry or (next(iter(entries)) if len(entries) == 1 else "")
    if name not in entries:
        raise ConfigError(
            f"{path} holds the networks {', '.join(entries)}: expected one of them after the path, as in "
            f"'{path}#{next(iter(entries))}', found '{entry}'."
        )
    return _from_seed(name, entries[name], path)


# The 2018 implementation's names of the fields, and ours.
_SEED_FIELDS = {
    "g_layers": "g_layers",
    "question_injection_position": "question_layer",
    "dropout": "dropout",
    "lstm_hidden": "lstm_hidden",
    "lstm_word_emb": "word_embedding",
}


def _from_seed(name: str, entry: dict[str, Any], path: Path) -> Preset:
    """An entry of the 2018 implementation's config.json (`hyperparams`) as a preset.

    Where it does not say `state_description`, the size of two objects (rl_in_size) tells what they are.
    """
    if not isinstance(entry, dict):
        raise ConfigError(f"{path}#{name}: expected an object with a preset's keys, found {entry!r}.")
    known = {*_SEED_FIELDS, "state_description", "f_fc1", "f_fc2", "rl_in_size"}
    missing = {*_SEED_FIELDS, "f_fc1", "f_fc2"} - set(entry)
    if "state_description" not in entry and "rl_in_size" not in entry:
        missing.add("state_description")
    if missing or set(entry) - known:
        raise ConfigError(
            f"{path}#{name} is not a relation network of the 2018 implementation: expected the keys "
            f"{', '.join(sorted(known))}; "
            f"missing: {', '.join(sorted(missing)) or 'none'}; "
            f"not supported: {', '.join(sorted(set(entry) - known)) or 'none'}."
        )
    fields = {ours: entry[theirs] for theirs, ours in _SEED_FIELDS.items()}
    fields |= {"f_layers": (entry["f_fc1"], entry["f_fc2"])}
    kinds = ["state", "pixels"]
    if "state_description" in entry:
        kinds = ["state" if entry["state_description"] else "pixels"]
    presets = [_preset({"name": name, **fields, "objects": kind}, path) for kind in kinds]
    size = entry.get("rl_in_size", 2 * presets[0].object_size)
    preset = next((one for one in presets if 2 * one.object_size == size), presets[0])
    if size != 2 * preset.object_size:
        raise ConfigError(
            f"{path}#{name}: expected rl_in_size {2 * preset.object_size} (two objects of {preset.object_size} "
            f"numbers), found {size}."
        )
    return preset
