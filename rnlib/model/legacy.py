"""The 2018 implementation's .pth files: mesnico/RelationNetworks-CLEVR, MIT licence.

They are ordered dictionaries of tensors with keys `module.…`, without preset or
vocabulary. The preset is inferred from the shapes; the vocabulary is CLEVR v1.0's, whose
word order is that of the training questions, as in the 2018 implementation.
"""

import re
from pathlib import Path

import torch
from torch import Tensor

from rnlib.clevr.vocabulary import Vocabulary, clevr_v1
from rnlib.errors import WeightsError
from rnlib.files import sha256
from rnlib.model.preset import Preset
from rnlib.model.torch_file import read_torch_file

KNOWN_FILES = {
    "0e1d1fcb0ed68de9f7fbf5fb0b280174ef043b281448af2e4f0ac4ac0e95b13d": "original_fp_epoch_493.pth",
    "5961c61eec7f8e05384f999b8915e6bdd0339205c5b8edfa3feafe21ad833450": "ir_fp_epoch_312.pth",
}

# The 2018 implementation's key (a pattern) -> ours.
_KEYS = (
    (r"conv\.conv(\d)\.(weight|bias)", "objects.convolutions.{}.{}"),
    (r"conv\.batchNorm(\d)\.(\w+)", "objects.norms.{}.{}"),
    (r"text\.wembedding\.weight()()", "question.embedding.weight"),
    (r"text\.lstm\.(\w+)()", "question.lstm.{}"),
    (r"rl\.g_layers\.(\d)\.(weight|bias)", "relations.layers.{}.{}"),
    (r"rl\.f_fc(\d)\.(weight|bias)", "answer.layers.{}.{}"),
)
_COUNTED_FROM_ONE = ("conv.", "rl.f_fc")


def read_seed_weights(path: Path) -> tuple[Preset, Vocabulary, dict[str, Tensor], str]:
    """Preset, vocabulary, tensors under our names, and a note on where the file comes from.

    The two released files are known by their sha256; others are accepted with a note that
    says so. Raises WeightsError where the file is no such dictionary or its sizes do not fit.
    """
    digest = sha256(path)
    known = KNOWN_FILES.get(digest)
    if known is None and path.name in KNOWN_FILES.values():
        note = f"{path.name} has the name of a released file, but another sha256 ({digest[:12]}…): not verified"
    elif known is None:
        note = f"not one of the released files (sha256 {digest[:12]}…): preset inferred from the shapes"
    else:
        note = f"the released {known}, sha256 verified"
    tensors = _renamed(_read(path), path)
    preset = _infer_preset(tensors, path)
    return preset, _vocabulary(tensors, path), tensors, note


def _read(path: Path) -> dict[str, Tensor]:
    try:
        content = read_torch_file(path)
    except ValueError as error:
        raise WeightsError(
            f"{path} cannot be read as a .pth file of tensors ({error}). "
            "It is damaged or holds more than tensors, which rnlib does not load."
        ) from None
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise WeightsError(
            f"{path}: expected a dictionary of tensors as the 2018 implementation writes them, found something else."
        )
    if empty := [key for key, value in content.items() if not value.numel()]:
        raise WeightsError(f"{path}: expected numbers in every tensor, found none in '{empty[0]}'.")
    return content


def _renamed(content: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for key, tensor in content.items():
        name = key.removeprefix("module.")
        for pattern, ours in _KEYS:
            match = re.fullmatch(pattern, name)
            if match:
                first, second = match.groups()
                number = int(first) - 1 if name.startswith(_COUNTED_FROM_ONE) else first
                tensors[ours.format(number, second)] = _without_denormals(tensor)
                break
        else:
            raise WeightsError(f"{path}: the key '{key}' is not one of the 2018 implementation's relation networks.")
    for key in [key for key in tensors if key.endswith("running_mean")]:
        tensors[key.replace("running_mean", "num_batches_tracked")] = torch.zeros((), dtype=torch.long)
    return tensors


def _without_denormals(tensor: Tensor) -> Tensor:
    """Numbers below the smallest normal one (1.2e-38) become 0.

    Weight decay left up to 58 % of a layer's weights in the released files there. No answer
    changes by a bit, but processors handle such numbers in microcode: answering took 15 times as long.
    """
    if not tensor.is_floating_point():
        return tensor
    return torch.where(tensor.abs() < torch.finfo(tensor.dtype).tiny, 0, tensor)


def _infer_preset(tensors: dict[str, Tensor], path: Path) -> Preset:
    pixels = "objects.convolutions.0.weight" in tensors
    try:
        g = [tensors[f"relations.layers.{index}.weight"] for index in range(_count(tensors, "relations.layers"))]
        hidden = tensors["question.lstm.weight_hh_l0"].shape[1]
        convolutions = _count(tensors, "objects.convolutions")
        channels = tuple(len(tensors[f"objects.convolutions.{index}.weight"]) for index in range(convolutions))
        pair = 2 * (channels[-1] + 2) if pixels else 14
        widths = [pair, *(len(weight) for weight in g[:-1])]
        joined = [index for index, weight in enumerate(g) if weight.shape[1] == widths[index] + hidden]
        plain = [index for index, weight in enumerate(g) if weight.shape[1] == widths[index]]
        if len(joined) != 1 or len(plain) != len(g) - 1:
            raise WeightsError(
                f"{path}: expected the question ({hidden} numbers) to join the input of exactly one layer of g, found "
                f"inputs of {[weight.shape[1] for weight in g]} for pairs and layers of {widths}."
            )
        return Preset(
            name=f"{'original' if joined[0] == 0 else 'ir'}-{'fp' if pixels else 'sd'}",
            objects="pixels" if pixels else "state",
            conv_channels=channels or (24,),
            word_embedding=tensors["question.embedding.weight"].shape[1],
            lstm_hidden=hidden,
            g_layers=tuple(len(weight) for weight in g),
            question_layer=joined[0],
            f_layers=(len(tensors["answer.layers.0.weight"]), len(tensors["answer.layers.1.weight"])),
            dropout=0.5 if pixels else 0.05,
        )
    except (KeyError, IndexError, TypeError) as error:
        raise WeightsError(
            f"{path}: expected a relation network of the 2018 implementation, but it lacks {error} or its shape."
        ) from None


def _count(tensors: dict[str, Tensor], prefix: str) -> int:
    return sum(key.startswith(prefix) and key.endswith(".weight") for key in tensors)


def _vocabulary(tensors: dict[str, Tensor], path: Path) -> Vocabulary:
    vocabulary = clevr_v1()
    words = len(tensors["question.embedding.weight"]) - 1
    answers = len(tensors["answer.layers.2.weight"])
    if (words, answers) != (len(vocabulary.words), len(vocabulary.answers)):
        raise WeightsError(
            f"{path}: expected {len(vocabulary.words)} words and {len(vocabulary.answers)} answers (CLEVR v1.0), found "
            f"{words} and {answers}. The 2018 implementation's files hold no vocabulary, so it cannot be known."
        )
    return vocabulary
