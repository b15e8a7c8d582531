"""Relation networks: presets, the network, its weights on disk."""

from rnlib.model.checkpoint import Weights, import_mesnico_weights, init_convolutions, load_weights, save_weights
from rnlib.model.inputs import NetworkInputs, choose_device
from rnlib.model.network import RelationNetwork
from rnlib.model.objects import state_rows
from rnlib.model.preset import Preset, load_preset, preset_of, shipped_presets

__all__ = [
    "NetworkInputs",
    "Preset",
    "RelationNetwork",
    "Weights",
    "choose_device",
    "import_mesnico_weights",
    "init_convolutions",
    "load_preset",
    "load_weights",
    "preset_of",
    "save_weights",
    "shipped_presets",
    "state_rows",
]
