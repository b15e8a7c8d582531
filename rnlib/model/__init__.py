"""Relation networks: presets, the network, its weights on disk."""

from typing import TYPE_CHECKING

from rnlib.lazy import names_of

if TYPE_CHECKING:
    from rnlib.model.asking import Reply, answer
    from rnlib.model.checkpoint import (
        Weights,
        import_mesnico_weights,
        init_convolutions,
        init_question,
        load_weights,
        save_weights,
    )
    from rnlib.model.dataset import ClevrDataset
    from rnlib.model.inputs import NetworkInputs, choose_device
    from rnlib.model.network import RelationNetwork
    from rnlib.model.objects.states import state_rows
    from rnlib.model.preset import Preset, load_preset, preset_of, shipped_presets
else:
    __getattr__, __dir__, __all__ = names_of(__file__)
