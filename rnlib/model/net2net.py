"""A larger network that begins as a smaller one that is trained: it gives the same answers, and learns on from there.

Wider layers of g and f, and more layers of g before the question joins: an IR network grows out of an original one.
Source of the idea: Net2Net, Chen et al. 2016. Unlike there, new units are drawn at random and read with weights of 0.
"""

from pathlib import Path

import torch
from torch import nn

from rnlib.clevr.vocabulary import Vocabulary
from rnlib.errors import WeightsError
from rnlib.model.checkpoint import load_weights
from rnlib.model.network import RelationNetwork
from rnlib.model.objects.states import StateObjects
from rnlib.model.relation import RelationSum

# What decides the function besides the sizes that may grow.
VISUAL = ("objects", "image_size", "conv_channels", "describing_channels", "state_attributes")
SAME = (
    *VISUAL,
    "state_rows",
    "mask_padding",
    "relations",
    "word_embedding",
    "lstm_hidden",
    "question_length",
    "reverse_question",
    "aggregation_layer",
)


@torch.no_grad()
def init_from(network: RelationNetwork, vocabulary: Vocabulary, path: Path | str) -> None:
    """Give `network`, which is of this vocabulary, the function of trained weights.

    What the weights do not fill stays as it is: units of the network that are more than theirs, which nothing reads
    yet; and the convolutions of a network that describes its cells (`describing_channels`), where the weights read
    one-hot state descriptions. `path`: a file or a released name. Raises WeightsError where the network cannot hold the
    same function.
    """
    weights = load_weights(path)
    small, large = weights.preset, network.preset
    described = large.describes and issubclass(small.kind, StateObjects) and small.state_attributes == "one-hot"
    for name in SAME:
        if getattr(small, name) != getattr(large, name) and not (described and name in VISUAL):
            raise _cannot(path, f"{name} {getattr(small, name)}", f"{getattr(large, name)}")
    if weights.vocabulary != vocabulary:
        raise _cannot(path, f"a vocabulary of {len(weights.vocabulary.words)} words", "another one")
    network.question.load_state_dict(weights.network.question.state_dict())
    if not described:
        network.objects.load_state_dict(weights.network.objects.state_dict())
    if network.relations and weights.network.relations:
        _fill_relations(network.relations, weights.network.relations, path)
    for before, after in zip(weights.network.answer.layers, network.answer.layers, strict=True):
        assert isinstance(before, nn.Linear) and isinstance(after, nn.Linear)
        _require_room(before, after, path)
        _put(before.weight, before.bias, after)


def _fill_relations(large: RelationSum, small: RelationSum, path: Path | str) -> None:
    more = len(large.layers) - len(small.layers)
    if more < 0 or large.question_layer != small.question_layer + more or (more and small.question_layer):
        raise _cannot(
            path,
            f"{len(small.layers)} layers of g with the question at {small.question_layer}",
            f"{len(large.layers)} with it at {large.question_layer} (layers can be added before the question only)",
        )
    if small.aggregation_layer is not None:
        large.pair_weights.copy_(small.pair_weights)
    first = small.linear(0).weight
    inputs = first.shape[1] - (small.question_size if small.question_layer == 0 else 0)
    if more:
        identity = torch.eye(inputs)
        carry = torch.cat([identity, -identity])  # a ReLU lets both halves of a number through: x and -x
        for index in range(more):
            layer = large.linear(index)
            if layer.out_features < 2 * inputs:
                raise _cannot(
                    path, f"{2 * inputs} units to carry a pair", f"{layer.out_features} in layer {index} of g"
                )
            _put(carry, torch.zeros(2 * inputs), layer)
            carry = torch.eye(2 * inputs)
    for index in range(len(small.layers)):
        before, after = small.linear(index), large.linear(index + more)
        weight = before.weight
        asks = index == small.question_layer
        reads = weight[:, : -small.question_size] if asks else weight
        if more and index == 0:
            reads = torch.cat([reads, -reads], 1)
        _require_room(before, after, path)
        if asks:
            after.weight[: len(weight), -small.question_size :] = weight[:, -small.question_size :]
        _put(reads, before.bias, after, keep=small.question_size if asks else 0)


def _put(weight: torch.Tensor, bias: torch.Tensor, layer: nn.Linear, keep: int = 0) -> None:
    """The first units of `layer` become these; they read nothing else but the last `keep` inputs, left as they are."""
    units, inputs = weight.shape
    layer.weight[:units, : layer.in_features - keep] = 0
    layer.weight[:units, :inputs] = weight
    layer.bias[:units] = bias


def _require_room(before: nn.Linear, after: nn.Linear, path: Path | str) -> None:
    if before.out_features > after.out_features:
        raise _cannot(path, f"a layer of {before.out_features} units", f"{after.out_features}")


def _cannot(path: Path | str, small: str, large: str) -> WeightsError:
    return WeightsError(
        f"expected a network that can begin as {path}, which has {small}; found {large}. Choose a preset that has "
        "room for it (rnlib.model.net2net), or start without init_from."
    )
