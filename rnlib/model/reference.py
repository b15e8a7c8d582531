"""The network as its formula says, without any short cut: what the fast one is checked against and timed against.

All pairs are written out as [o_i, o_j, q], every picture goes through the convolutions once a question, the
LSTM reads all of the padding, and autograd keeps every layer of every pair: the arithmetic of 2018. Needs
200 MB a question from pixels.
"""

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from rnlib.model.network import RelationNetwork


def naive_forward(
    network: RelationNetwork, inputs: Float[Tensor, "batch ..."], tokens: Integer[Tensor, "batch longest"]
) -> Float[Tensor, "batch answers"]:
    """Log-probabilities, as `network(inputs, tokens)`, for a preset that sums all pairs and reads padded questions."""
    preset, encoder = network.preset, network.question
    assert not preset.mask_padding
    tokens = torch.nn.functional.pad(tokens, (0, preset.question_length - tokens.shape[1])).long()
    states, _ = encoder.lstm(encoder.embedding(tokens.flip(1) if preset.reverse_question else tokens))
    question = states[:, -1]
    pairs = pair_outputs(network, network.objects(inputs), question)
    if preset.aggregation_layer is None:
        return network.answer(pairs.sum((1, 2)))
    assert network.relations is not None
    hidden = (pairs * network.relations.pair_weights.view(*pairs.shape[1:3], 1)).sum((1, 2))
    for index in range(preset.aggregation_layer + 1, len(preset.g_layers)):
        if index == preset.question_layer:
            hidden = torch.cat([hidden, question], 1)
        hidden = torch.relu(network.relations.layers[index](hidden))
    return network.answer(hidden)


def pair_outputs(
    network: RelationNetwork, objects: Float[Tensor, "batch rows size"], question: Float[Tensor, "batch hidden"]
) -> Float[Tensor, "batch rows rows relation"]:
    """What g says of every ordered pair of rows: entry [b, i, j] is g(o_j, o_i, q). Their sum is what f reads.

    Of a preset that aggregates inside g: what the layer after which it does says of a pair.
    """
    assert network.relations is not None
    n = objects.shape[1]
    first, second = objects[:, None].expand(-1, n, -1, -1), objects[:, :, None].expand(-1, -1, n, -1)
    hidden = torch.cat([first, second], -1)
    last = network.preset.aggregation_layer
    layers = list(network.relations.layers)[: None if last is None else last + 1]
    for index, layer in enumerate(layers):
        if index == network.preset.question_layer:
            hidden = torch.cat([hidden, question[:, None, None].expand(-1, n, n, -1)], -1)
        hidden = torch.relu(layer(hidden))
    return hidden
