"""The network as its formula stands, without any short cut: what the fast one is checked against and timed against.

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
    assert network.relations is not None and not preset.mask_padding
    tokens = torch.nn.functional.pad(tokens, (0, preset.question_length - tokens.shape[1])).long()
    states, _ = encoder.lstm(encoder.embedding(tokens.flip(1) if preset.reverse_question else tokens))
    question = states[:, -1]

    objects = network.objects(inputs)
    n = objects.shape[1]
    first, second = objects[:, None].expand(-1, n, -1, -1), objects[:, :, None].expand(-1, -1, n, -1)
    hidden = torch.cat([first, second], -1)
    for index, layer in enumerate(network.relations.layers):
        if index == preset.question_injection:
            asked = question if hidden.ndim == 2 else question[:, None, None].expand(-1, n, n, -1)
            hidden = torch.cat([hidden, asked], -1)
        hidden = torch.relu(layer(hidden))
        if index == preset.aggregation:
            hidden = (hidden * network.relations.pair_weights.view(n, n, 1)).sum((1, 2))
    return network.answer(hidden if preset.aggregation is not None else hidden.sum((1, 2)))
