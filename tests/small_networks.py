"""Untrained networks, small enough for tests of what uses a network."""

import torch

from rnlib.clevr.vocabulary import clevr_v1
from rnlib.model import RelationNetwork, Weights, load_preset

SMALL = {"g_layers": [8, 8, 8], "f_layers": [8, 8], "lstm_hidden": 8}


def small_weights(preset: str) -> Weights:
    """Of a preset, always the same."""
    torch.manual_seed(0)
    chosen = load_preset(preset, SMALL)
    return Weights(RelationNetwork(chosen, clevr_v1()).eval(), chosen, clevr_v1(), name=preset)
