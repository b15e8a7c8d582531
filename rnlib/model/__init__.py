"""Relation networks: presets, the network, its weights on disk."""

from rnlib.model.inputs import NetworkInputs, choose_device
from rnlib.model.network import RelationNetwork
from rnlib.model.objects import state_rows
from rnlib.model.preset import Preset, load_preset, parse_overrides, shipped_presets
from rnlib.model.weights import Weights, import_seed_weights, load_weights, save_weights, transfer_convolutions

__all__ = [
    "NetworkInputs",
    "Preset",
    "RelationNetwork",
    "Weights",
    "choose_device",
    "import_seed_weights",
    "load_preset",
    "load_weights",
    "parse_overrides",
    "save_weights",
    "shipped_presets",
    "state_rows",
    "transfer_convolutions",
]
