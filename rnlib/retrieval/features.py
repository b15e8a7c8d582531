"""One vector a picture, to find like pictures by (Messina et al. 2018, 2019).

Two-stage relation networks (the IR presets) have layers of g that see pairs of objects but
not the question. What such a layer reads for all pairs, gathered into one vector, says
which relations the picture holds. Networks that aggregate inside g (AVF-RN) have that vector
themselves. The convolutional map before g knows no relations.
"""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn

from rnlib.clevr.split import Split
from rnlib.errors import ConfigError
from rnlib.model.checkpoint import Weights
from rnlib.model.inputs import pictures_of, require_pictures
from rnlib.model.objects.pixels import PixelObjects
from rnlib.model.relation import RelationSum
from rnlib.retrieval.attributes import AttributeWeights

Features = Float[np.ndarray, "pictures size"]
Pictures = Integer[np.ndarray, " pictures"]


def all_features(
    weights: Weights, split: Split, pictures: Pictures, layers: list[int], device: torch.device | str = "cpu"
) -> dict[str, Features]:
    """Every feature that the weights have, by name: "conv mean", "pairs 2 max", "aggregated" and so on.

    `layers`: of g, for the pair features. Raises as the functions below.
    """
    for layer in layers:
        check_layer(weights, layer)
    made: dict[str, Features] = {}
    if isinstance(weights.network.objects, PixelObjects):
        conv = conv_features(weights, split, pictures, device)
        made |= {f"conv {name}": values for name, values in conv.items()}
    for layer in layers:
        pairs = pair_features(weights, split, pictures, layer, device)
        made |= {f"pairs {layer} {name}": values for name, values in pairs.items()}
    if weights.preset.aggregation_layer is not None:
        made["aggregated"] = aggregated_features(weights, split, pictures, device)
    return made


@torch.inference_mode()
def conv_features(
    weights: Weights | AttributeWeights,
    split: Split,
    pictures: Pictures,
    device: torch.device | str = "cpu",
    chunk: int = 64,
) -> dict[str, Features]:
    """Features from the convolutional map: its "mean" and "max" over cells (24 numbers), all of it ("flat", 1,536).

    `pictures` are rows of `split.images`. Raises ConfigError for weights that read no
    pictures, DataError where the split lacks them.
    """
    preset, convolutions = weights.preset, weights.network.objects
    if not isinstance(convolutions, PixelObjects):
        raise ConfigError(f"expected weights that read pictures, found the preset '{preset.name}' ({preset.objects}).")
    require_pictures(split, preset)
    weights.network.to(device).eval()
    parts: dict[str, list[Tensor]] = {"mean": [], "max": [], "flat": []}
    for start in range(0, len(pictures), chunk):
        cells = convolutions.features(pictures_of(split, pictures[start : start + chunk], device))
        for name, values in (("mean", cells.mean((2, 3))), ("max", cells.amax((2, 3))), ("flat", cells.flatten(1))):
            parts[name].append(values.cpu())
    return {name: torch.cat(values).numpy() for name, values in parts.items()}


@torch.inference_mode()
def pair_features(
    weights: Weights,
    split: Split,
    pictures: Pictures,
    layer: int,
    device: torch.device | str = "cpu",
    chunk: int = 4,
) -> dict[str, Features]:
    """Features from what layer `layer` of g (from 0) reads for each ordered pair of objects, without the question.

    Each pair's vector is divided by its L2 norm; "mean" and "max" gather them over all
    pairs (of a state description: of the scene's own objects, without padding). Where scenes differ in their number
    of pairs, there is "sum" too, which tells it, as a mean over all cells of a picture does. Only `chunk`
    pictures' pairs are held at once (64 x 64 pairs of 256 numbers are 4 MiB a picture). Raises as
    `conv_features`, and ConfigError for a layer that does not read pairs without the question.
    """
    check_layer(weights, layer)
    relations = _relations(weights)
    means = sums = maxima = torch.zeros(0)
    for places, objects in _objects(weights, split, pictures, device, chunk):
        unit = nn.functional.normalize(relations.pair_inputs(objects, layer).flatten(1, 2), dim=2)
        if not len(means):
            means, sums, maxima = torch.zeros(3, len(pictures), unit.shape[2])
        means[places], sums[places], maxima[places] = unit.mean(1).cpu(), unit.sum(1).cpu(), unit.amax(1).cpu()
    summed = {"sum": sums.numpy()} if weights.network.objects.pads else {}
    return {"mean": means.numpy(), **summed, "max": maxima.numpy()}


@torch.inference_mode()
def aggregated_features(
    weights: Weights, split: Split, pictures: Pictures, device: torch.device | str = "cpu", chunk: int = 4
) -> Features:
    """The vector that a network which aggregates inside g makes of all pairs (AVF-RN: 512 numbers).

    Raises as `conv_features`, and ConfigError for a network that aggregates only after g.
    """
    preset = weights.preset
    if preset.aggregation_layer is None:
        raise ConfigError(
            f"the preset '{preset.name}' sums its pairs after the last layer of g, which depends on the question: it "
            "has no aggregated features. Use weights of a preset with aggregation inside g, such as avf-fp."
        )
    relations = _relations(weights)
    vectors = torch.zeros(len(pictures), preset.g_layers[preset.aggregation_layer])
    for places, objects in _objects(weights, split, pictures, device, chunk):
        vectors[places] = relations.aggregate(objects).cpu()
    return vectors.numpy()


def random_features(pictures: int, size: int = 24, seed: int = 0) -> Features:
    """Vectors that know nothing of their pictures: the floor that every feature must beat."""
    return np.random.default_rng(seed).standard_normal((pictures, size)).astype(np.float32)


def check_layer(weights: Weights, layer: int) -> None:
    """Raise ConfigError unless layer `layer` of g reads pairs, and reads them before the question is known."""
    preset = weights.preset
    last, why = preset.question_layer, "where the question joins it"
    if preset.aggregation_layer is not None and preset.aggregation_layer < last:
        last, why = preset.aggregation_layer, "after which its pairs are aggregated"
    if not preset.most_objects:
        raise ConfigError(f"expected weights that read a scene, found the preset '{preset.name}' (question alone).")
    if not preset.relations:
        raise ConfigError(f"expected weights with pairs of objects, found the preset '{preset.name}' (no relations).")
    if not 0 <= layer <= last:
        raise ConfigError(
            f"expected a layer of g from 0 to {last}, {why} in the preset "
            f"'{preset.name}', found {layer}. In later layers there are no features of pairs that do not depend on "
            "the question; choose an earlier layer, or weights of an IR preset."
        )


def _relations(weights: Weights) -> RelationSum:
    relations = weights.network.relations
    assert relations is not None, "checked before: without relations there are no pairs"
    return relations


def _objects(
    weights: Weights, split: Split, pictures: Pictures, device: torch.device | str, chunk: int
) -> Iterator[tuple[Integer[np.ndarray, " some"], Float[Tensor, "some objects size"]]]:
    """Objects of at most `chunk` pictures at a time, with their places among `pictures`.

    Where scenes are padded: scenes of the same number of objects, without the padding rows after them (but one of a
    scene of no object).
    """
    preset, encoder = weights.preset, weights.network.objects
    weights.network.to(device).eval()
    read = preset.kind.source(preset, split, torch.device(device))
    order = np.arange(len(pictures))
    if encoder.pads and split.has_scenes:  # scenes of the same number of objects share a chunk
        order = np.argsort(split.n_objects[pictures], kind="stable")
    for start in range(0, len(order), chunk):
        places = order[start : start + chunk]
        objects = encoder(read(pictures[places]))
        present = encoder.present(objects)
        if present is None:
            yield places, objects
            continue
        counts = present.sum(1).clamp(min=1).cpu().numpy()
        for count in np.unique(counts):
            chosen = np.flatnonzero(counts == count)
            yield places[chosen], objects[chosen, :count]
