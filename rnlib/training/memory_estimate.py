"""What a training step holds in memory, estimated before it begins."""

import torch

from rnlib.model import pair_sum
from rnlib.model.network import RelationNetwork
from rnlib.training.recipe import Recipe

QUESTIONS_A_PICTURE = 10  # in CLEVR
FRAGMENTS = 1.5  # of what is held, a process had at most: freed blocks between others stay with it (docs/speed.md)


def step_memory(network: RelationNetwork, recipe: Recipe, device: torch.device) -> int:
    """Bytes that a step of the recipe's largest batch holds at most, beside the data: about, not exactly.

    Activations of pairs are bounded by `pair_sum.kept_bytes` whatever the batch; those of the convolutions grow with
    the pictures in it.
    """
    preset, batch = network.preset, max(recipe.batch_at(epoch) for epoch in (1, recipe.epochs))
    pictures = -(-batch // QUESTIONS_A_PICTURE) if recipe.group_questions else batch
    numbers = 4 * network.parameter_count()  # weights, gradients, two moments
    numbers += pictures * network.objects.activations()
    total = 4 * numbers
    if network.relations is not None:
        rows = preset.most_objects
        kept = batch * rows**2 * sum(preset.g_layers) * (2 if recipe.precision == "bf16" else 4)
        halves = 8 * batch * rows * preset.g_layers[0] * 4
        piece = max(pair_sum.PIECE[device.type], rows**2) * max(preset.g_layers) * 4
        total += min(kept, pair_sum.kept_bytes(device)) + halves + 6 * piece
    return round(FRAGMENTS * total) if device.type == "cpu" else total
