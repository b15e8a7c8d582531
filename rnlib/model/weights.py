"""Weights on disk: `NAME.safetensors` with the numbers, `NAME.json` with what they mean.

The JSON holds the preset, the vocabulary, metrics, provenance and the sha256 of the
numbers. Neither file is of use without the other, and neither can execute code.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from rnlib.clevr.vocabulary import Vocabulary
from rnlib.errors import DataError, WeightsError
from rnlib.files import atomic_write, read_json, sha256, write_json
from rnlib.model.network import RelationNetwork
from rnlib.model.preset import Preset
from rnlib.model.released import find_weights
from rnlib.model.seed import read_seed_weights

FORMAT = "rnlib-weights-1"


@dataclass(frozen=True)
class Weights:
    """A network with what is known of it."""

    network: RelationNetwork
    preset: Preset
    vocabulary: Vocabulary
    info: dict[str, Any] = field(default_factory=dict)
    name: str = ""


def save_weights(
    path: Path | str,
    network: RelationNetwork,
    vocabulary: Vocabulary,
    *,
    metrics: Mapping[str, object] | None = None,
    provenance: Mapping[str, object] | None = None,
) -> Path:
    """Write `path` (.safetensors) and its JSON; returns `path`."""
    path = _checked_suffix(Path(path))
    content = save({name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()})
    info = {
        "format": FORMAT,
        "preset": msgspec.to_builtins(network.preset),
        "vocabulary": msgspec.to_builtins(vocabulary),
        "metrics": dict(metrics or {}),
        "provenance": dict(provenance or {}),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    json.dumps(info, allow_nan=False)  # what cannot be written must show before either file is
    with atomic_write(path) as file:
        file.write(content)
    write_json(path.with_suffix(".json"), info)
    return path


def load_weights(path: Path | str) -> Weights:
    """The network of a .safetensors file with its JSON, or of the seed's .pth; in evaluation mode, on the CPU.

    `path` may be a released name (`rnlib.model.released`), such as "seed-ir-fp".
    """
    path = find_weights(path)
    if path.suffix == ".pth":
        preset, vocabulary, tensors, note = read_seed_weights(path)
        info: dict[str, Any] = {"metrics": {}, "provenance": {"imported from": path.name, "note": note}}
    else:
        preset, vocabulary, info = _read_info(_checked_suffix(path))
        tensors = _read_tensors(path, info["sha256"])
    network = RelationNetwork(preset, vocabulary)
    _fill(network, tensors, path)
    return Weights(network.eval(), preset, vocabulary, info, path.stem)


def import_seed_weights(source: Path | str, target: Path | str) -> Weights:
    """Turn a .pth file of the seed into .safetensors and JSON; returns the weights, whose info holds a note."""
    weights = load_weights(source)
    save_weights(target, weights.network, weights.vocabulary, provenance=weights.info["provenance"])
    return weights


def _checked_suffix(path: Path) -> Path:
    if path.suffix != ".safetensors":
        raise WeightsError(
            f"expected weights in a file NAME.safetensors (or the seed's NAME.pth to read), found {path.name}."
        )
    return path


def _read_info(path: Path) -> tuple[Preset, Vocabulary, dict[str, Any]]:
    sidecar = path.with_suffix(".json")
    if not sidecar.is_file():
        raise WeightsError(
            f"{path} stands without its {sidecar.name}, which holds the preset and the vocabulary; "
            "weights mean nothing without them. Copy both files together."
        )
    try:
        info = read_json(sidecar)
        if info["format"] != FORMAT:
            raise WeightsError(f"{sidecar}: expected the format {FORMAT}, found {info['format']}.")
        preset = msgspec.convert(info["preset"], Preset)
        vocabulary = msgspec.convert(info["vocabulary"], Vocabulary)
        info["sha256"]
    except (DataError, KeyError, TypeError, msgspec.ValidationError) as error:
        problem = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise WeightsError(f"{sidecar} does not describe weights: {problem}. Copy it again from its source.") from None
    return preset, vocabulary, info


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
        raise WeightsError(f"{path} is not a safetensors file ({error}). Copy it again from its source.") from None


def _fill(network: RelationNetwork, tensors: dict[str, Tensor], path: Path) -> None:
    own = network.state_dict()
    faults = [f"{name} is missing" for name in own if name not in tensors]
    faults += [f"{name} is unknown" for name in tensors if name not in own]
    faults += [
        f"{name} has shape {list(tensors[name].shape)}, not {list(own[name].shape)}"
        for name in own
        if name in tensors and tensors[name].shape != own[name].shape
    ]
    if faults:
        raise WeightsError(
            f"{path} does not fit the preset '{network.preset.name}': {'; '.join(faults[:3])}"
            f"{f' and {len(faults) - 3} more' if len(faults) > 3 else ''}. These are weights of another preset."
        )
    network.load_state_dict(tensors)


def transfer_convolutions(network: RelationNetwork, path: Path | str) -> None:
    """Copy the convolutional layers of other weights into `network`. Raises WeightsError where they do not fit."""
    source = load_weights(path)
    if network.preset.objects != "pixels" or source.preset.objects != "pixels":
        raise WeightsError(
            f"expected two networks that read pixels, found presets '{source.preset.name}' ({source.preset.objects}) "
            f"and '{network.preset.name}' ({network.preset.objects}). Convolutions can go only from pixels to pixels."
        )
    if source.preset.conv_channels != network.preset.conv_channels:
        raise WeightsError(
            f"expected convolutions of {list(network.preset.conv_channels)} kernels, "
            f"{path} has {list(source.preset.conv_channels)}."
        )
    with torch.no_grad():
        network.objects.load_state_dict(source.network.objects.state_dict())
