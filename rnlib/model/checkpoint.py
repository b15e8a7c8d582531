"""Weights on disk: `NAME.safetensors` with the numbers, `NAME.json` with what they mean.

The JSON holds the preset, the vocabulary, metrics, provenance and the sha256 of the
numbers. Neither file is of use without the other, and neither can execute code.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from rnlib.clevr.vocabulary import Vocabulary
from rnlib.errors import RnlibError, WeightsError, reason
from rnlib.files import atomic_write, read_json, remove_leftovers, sha256, write_json
from rnlib.model.legacy import read_seed_weights
from rnlib.model.network import RelationNetwork
from rnlib.model.objects.pixels import PixelObjects
from rnlib.model.preset import Preset
from rnlib.model.pretrained import MESNICO_FILES, find_weights

FORMAT = "rnlib-weights-1"
ATTRIBUTES_FORMAT = "rnlib-attributes-1"  # the convolutions with another head: see rnlib.retrieval.attributes
CELLS_FORMAT = "rnlib-cells-1"  # and with yet another: see rnlib.training.cell_task
READS = ("word_embedding", "lstm_hidden", "question_length", "reverse_question")  # what makes a question encoder


@dataclass(frozen=True)
class Weights:
    """A network with what is known of it."""

    network: RelationNetwork
    preset: Preset
    vocabulary: Vocabulary
    info: dict[str, Any] = field(default_factory=dict)
    name: str = ""

    @property
    def untrained_words(self) -> frozenset[str]:
        """Words of the vocabulary that no training question had, as far as the weights say so."""
        return frozenset(self.info.get("provenance", {}).get("untrained_words", ()))


def save_weights(
    path: Path | str,
    network: RelationNetwork,
    vocabulary: Vocabulary,
    *,
    metrics: Mapping[str, object] | None = None,
    provenance: Mapping[str, object] | None = None,
) -> Path:
    """Write `path` (.safetensors) and its JSON; returns `path`."""
    info = {
        "format": FORMAT,
        "preset": msgspec.to_builtins(network.preset),
        "vocabulary": msgspec.to_builtins(vocabulary),
        "metrics": dict(metrics or {}),
        "provenance": dict(provenance or {}),
    }
    return write_weights(path, network.state_dict(), info)


def write_weights(path: Path | str, tensors: Mapping[str, Tensor], info: Mapping[str, Any]) -> Path:
    """Write tensors to `path` (.safetensors) and `info` with their sha256 to its JSON; returns `path`."""
    path = _checked_suffix(Path(path))
    content = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    info = {**info, "sha256": hashlib.sha256(content).hexdigest()}
    json.dumps(info, allow_nan=False)  # what cannot be written must show before either file is
    remove_leftovers(path)
    with atomic_write(path) as file:
        file.write(content)
    write_json(path.with_suffix(".json"), info)
    return path


def load_weights(path: Path | str) -> Weights:
    """The network of a .safetensors file with its JSON, or of a .pth of 2018; in evaluation mode, on the CPU.

    `path` may be a released name (`rnlib.model.pretrained`), such as "mesnico-ir-fp".
    """
    path = find_weights(path)
    if path.suffix == ".pth":
        preset, vocabulary, tensors, note = read_seed_weights(path)
        info: dict[str, Any] = {"metrics": {}, "provenance": {"imported from": path.name, "note": note}}
    else:
        preset, info, tensors = read_weights(path, FORMAT)
        vocabulary = described(info, _Named, path).vocabulary
        if not (vocabulary.words and vocabulary.answers):
            raise WeightsError(f"{path.with_suffix('.json')} is damaged: expected words and answers, found none.")
    network = RelationNetwork(preset, vocabulary)
    fill(network, tensors, path, preset)
    return Weights(network.eval(), preset, vocabulary, info, path.stem)


def import_mesnico_weights(source: Path | str, target: Path | str) -> Weights:
    """Turn a .pth of the 2018 implementation into .safetensors and JSON; returns the weights, with a note in info."""
    if Path(source).suffix != ".pth" and str(source) not in MESNICO_FILES:
        raise WeightsError(f"expected a .pth file of the 2018 implementation, found {source}. Give its path.")
    weights = load_weights(source)
    save_weights(target, weights.network, weights.vocabulary, provenance=weights.info["provenance"])
    return weights


def _checked_suffix(path: Path) -> Path:
    if path.suffix != ".safetensors":
        raise WeightsError(
            f"expected weights in a file NAME.safetensors (to read also NAME.pth of the 2018 implementation), "
            f"found {path.name}."
        )
    return path


def read_weights(path: Path, *formats: str) -> tuple[Preset, dict[str, Any], dict[str, Tensor]]:
    """Preset, JSON and tensors of a .safetensors file of one of the formats. WeightsError says what is wrong."""
    path = _checked_suffix(path)
    if not os.path.exists(path):
        raise WeightsError(f"expected weights at {path}, found no such file. Check the path.")
    sidecar = path.with_suffix(".json")
    if not os.path.exists(sidecar):
        raise WeightsError(
            f"{path} has no {sidecar.name} beside it, which holds the preset and the vocabulary; "
            "weights mean nothing without them. Copy both files together."
        )
    info: dict[str, Any] = read_json(sidecar, dict[str, Any], WeightsError)
    if info.get("format") not in formats:
        raise WeightsError(f"{sidecar}: expected the format {' or '.join(formats)}, found {info.get('format')}.")
    told = described(info, _Description, path)
    return told.preset, info, _read_tensors(path, told.sha256)


class _Description(msgspec.Struct):
    """What the JSON of all weights holds."""

    preset: Preset
    sha256: str
    metrics: dict[str, Any]
    provenance: dict[str, Any]


class _Named(msgspec.Struct):
    """And that of relation networks: what their inputs and outputs stand for."""

    vocabulary: Vocabulary


_Told = TypeVar("_Told")


def described(info: Mapping[str, Any], what: type[_Told], path: Path) -> _Told:
    """A part of what the JSON of the weights `path` holds. WeightsError where it is not there, or not right."""
    try:
        return msgspec.convert(info, what)
    except (msgspec.ValidationError, RnlibError) as error:
        problem = str(error).removesuffix(".")
    raise WeightsError(
        f"{path.with_suffix('.json')} does not describe weights: {problem}. Copy it again from its source."
    )


def _read_tensors(path: Path, expected: str) -> dict[str, Tensor]:
    found = sha256(path)
    if found != expected:
        raise WeightsError(
            f"{path} is not the file its JSON describes: expected sha256 {expected[:12]}…, found {found[:12]}…. "
            "One of the two is damaged or of another training: copy both again."
        )
    try:
        return load_file(path)
    except SafetensorError as error:
        raise WeightsError(
            f"{path} is not a safetensors file ({reason(error)}). Copy it again from its source."
        ) from None


def fill(network: nn.Module, tensors: Mapping[str, Tensor], path: Path, preset: Preset) -> None:
    """Put tensors into a network; WeightsError names those that are missing, unknown or of another shape."""
    own = network.state_dict()
    faults = [f"{name} is missing" for name in own if name not in tensors]
    faults += [f"{name} is unknown" for name in tensors if name not in own]
    faults += [
        f"{name} has shape {list(tensors[name].shape)}, not {list(own[name].shape)}"
        for name in own
        if name in tensors and tensors[name].shape != own[name].shape
    ]
    spoilt = [name for name, tensor in tensors.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if spoilt:
        raise WeightsError(
            f"expected finite numbers in {path}, found NaN or infinity in {spoilt[0]}. The training diverged, or "
            "the file is damaged: take other weights."
        )
    if faults:
        raise WeightsError(
            f"{path} does not fit the preset '{preset.name}': {'; '.join(faults[:3])}"
            f"{f' and {len(faults) - 3} more' if len(faults) > 3 else ''}. These are weights of another preset."
        )
    network.load_state_dict(tensors)


def init_convolutions(network: RelationNetwork, path: Path | str) -> None:
    """Copy the convolutional layers of other weights into `network`: of a relation network, or of a classifier of
    attributes (`rnlib.retrieval.attributes`) or of cells (`rnlib.training.cell_task`). `path`: a file or a released
    name. Raises WeightsError where they do not fit.
    """
    path = find_weights(path)
    if path.suffix == ".pth":
        source = load_weights(path)
        preset, tensors = source.preset, dict(source.network.state_dict())
    else:
        preset, _, tensors = read_weights(path, FORMAT, ATTRIBUTES_FORMAT, CELLS_FORMAT)
    if not all(issubclass(one.kind, PixelObjects) for one in (network.preset, preset)):
        raise WeightsError(
            f"expected two networks that read pixels, found presets '{preset.name}' ({preset.objects}) "
            f"and '{network.preset.name}' ({network.preset.objects}). Convolutions can go only from pixels to pixels."
        )
    expected, found = ([*one.conv_channels, *one.describing_channels] for one in (network.preset, preset))
    if expected != found or preset.describes != network.preset.describes:
        raise WeightsError(f"expected convolutions of {expected} kernels, {path} has {found}.")
    convolutions = {name: tensor for name, tensor in tensors.items() if name.startswith("objects.")}
    fill(network.objects, {name.removeprefix("objects."): one for name, one in convolutions.items()}, path, preset)


def init_question(network: RelationNetwork, vocabulary: Vocabulary, path: Path | str) -> None:
    """Copy the question encoder (word embedding, LSTM) of other weights into `network`, which is of this vocabulary.

    `path`: a file or a released name. Raises WeightsError where it does not fit.
    """
    source = load_weights(path)
    if source.vocabulary != vocabulary:
        raise WeightsError(
            f"expected weights of the network's vocabulary ({len(vocabulary.words)} words), {path} has another one "
            f"({len(source.vocabulary.words)} words). Choose its vocabulary, or leave the encoder to be trained."
        )
    expected, found = ([getattr(one, name) for name in READS] for one in (network.preset, source.preset))
    if expected != found:
        raise WeightsError(f"expected a question encoder with {', '.join(READS)} {expected}, {path} has {found}.")
    network.question.load_state_dict(source.network.question.state_dict())
