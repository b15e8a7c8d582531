"""Answering questions, as a task of the trainer: relation networks, and the question-only network."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from rnlib.clevr.vocabulary import Vocabulary
from rnlib.distributed import Workers
from rnlib.evaluation.metrics import compute_metrics
from rnlib.evaluation.predict import predict
from rnlib.model.checkpoint import Weights, save_weights
from rnlib.model.inputs import NetworkInputs, upload
from rnlib.model.network import RelationNetwork
from rnlib.model.objects.pixels import DescribedObjects
from rnlib.provenance import provenance
from rnlib.training.augment import AUGMENTATIONS, draw_dropout
from rnlib.training.cell_targets import cell_loss, what_cells_hold
from rnlib.training.curriculum import Pool
from rnlib.training.log import history_row
from rnlib.training.recipe import Recipe
from rnlib.training.resume_state import Position, Row
from rnlib.training.sampler import epoch_order
from rnlib.training.symmetries import Wording, draw_symmetries, moved_inputs
from rnlib.training.trainer import Batches, require_finite


@dataclass
class QuestionTask:
    """Trains a network to answer the questions of `inputs`; `pools` says which of them belong to which stage."""

    network: RelationNetwork
    recipe: Recipe
    inputs: NetworkInputs
    pools: list[Pool]
    vocabulary: Vocabulary
    config: dict[str, Any]
    workers: Workers
    wording: Wording | None = None
    draws: np.ndarray | None = field(default=None, init=False)

    @property
    def epochs(self) -> int:
        """Epochs of all questions."""
        return self.recipe.epochs

    def epochs_done(self, position: Position) -> int:
        """Finished epochs of all questions."""
        return position.epochs_done(self.recipe.curriculum)

    def batches(self, position: Position) -> Batches:
        """The questions of the position's epoch, and the augmentation of their pictures."""
        recipe, split, epoch = self.recipe, self.inputs.split, position.epoch
        pools = [pool.questions for pool in self.pools]
        order = epoch_order(recipe, epoch, split.image_of_question, pools[position.stage], pools[: position.stage])
        size = self.inputs.preset.picture_size
        if recipe.augment and size:
            keys = split.n_images if recipe.group_questions else split.n_questions
            draw = AUGMENTATIONS[self.inputs.preset.kind.augmentation].draw
            self.draws = draw(recipe.seed, epoch, keys, size, False)  # a mirrored picture has other relations
        return Batches(order, recipe.batch_at(epoch))

    def lr_at(self, position: Position, done: float) -> float:
        """The learning rate of the recipe."""
        return self.recipe.lr_at(position.epoch, done, position.curriculum_epochs(self.recipe.curriculum))

    def loss(self, batch: np.ndarray, position: Position) -> Tensor:
        """Mean negative log-likelihood of the right answers; this process's share of it."""
        inputs, recipe = self.inputs, self.recipe
        keys = inputs.split.image_of_question[batch] if recipe.group_questions else batch
        part, counts = self.workers.share(keys)
        questions = batch[part]
        pictures, scene = inputs.split.image_of_question[questions], None
        first = which = np.arange(len(questions))
        if recipe.group_questions:  # each picture goes through the convolutions once
            pictures, first, which = np.unique(pictures, return_index=True, return_inverse=True)
            scene = upload(which, inputs.device)
        if self.wording:
            longest = inputs.tokens.shape[1]
            drawn = draw_symmetries(recipe.seed, position.epoch, position.step, len(batch), longest).of(part).of(first)
            visual, tokens, answer = moved_inputs(inputs, self.wording, pictures, questions, drawn, which)
        else:
            visual, tokens, answer = inputs.visual(pictures), inputs.question(questions), inputs.answer(questions)
        if self.draws is not None:
            drawn_for = pictures if recipe.group_questions else questions
            augment = AUGMENTATIONS[inputs.preset.kind.augmentation].apply
            visual = augment(visual, upload(self.draws[drawn_for], inputs.device))
        dropout_mask = self._dropout_mask(len(batch), part, position)
        objects, beside = self._objects(visual, pictures)
        log_probability = self.network.answer_from_objects(objects, tokens, scene, dropout_mask)
        losses = torch.nn.functional.nll_loss(log_probability, answer, reduction="sum")
        return losses * (counts / len(batch)) + beside

    def _objects(self, visual: Tensor, pictures: np.ndarray) -> tuple[Tensor, Tensor | float]:
        """The objects of what a network reads of these pictures, and this process's share of the weighted loss of what
        cells hold (or 0)."""
        weight, encoder = self.recipe.cell_weight, self.network.objects
        if not weight:
            return encoder(visual), 0.0
        assert isinstance(encoder, DescribedObjects)
        described = encoder.described(visual)
        held, places = what_cells_hold(self.inputs.split, pictures, self.inputs.preset)
        told = upload(held, self.inputs.device), upload(places, self.inputs.device)
        objects = torch.tensor([float((held[:, :, 0] > 0).sum())], device=self.inputs.device)
        self.workers.add_up(objects)
        return encoder.rows(described)[0], weight * cell_loss(described, *told, count=max(1.0, objects.item()))

    def _dropout_mask(self, questions: int, part: slice, position: Position) -> Tensor | None:
        preset = self.inputs.preset
        if not preset.dropout:
            return None
        width = preset.f_layers[1]
        drawn = draw_dropout(self.recipe.seed, position.epoch, position.step, questions, width, preset.dropout)
        return upload(drawn[part], self.inputs.device)

    def validate(self, network: nn.Module, position: Position, train_loss: float) -> tuple[Row, dict[str, Any]]:
        """Answer the held-out questions: all of them, and those of the stage."""
        weights = Weights(cast(RelationNetwork, network), self.inputs.preset, self.vocabulary)
        every, own = self.pools[-1].held_out, self.pools[position.stage].held_out
        options: dict[str, Any] = {"device": self.inputs.device, "verbose": False, "workers": self.workers}
        metrics = compute_metrics(predict(weights, every, **options))
        of_stage = metrics if own is every else compute_metrics(predict(weights, own, **options))
        require_finite(metrics["loss"], f"the validation loss of epoch {position.epoch}")
        return history_row(position, self.recipe, train_loss, metrics, of_stage), metrics

    def score(self, row: Row) -> float:
        """The accuracy over all held-out questions."""
        return row["val_accuracy"]

    def save_weights(self, path: Path, network: nn.Module, metrics: dict[str, Any], epoch: int) -> None:
        """Write the weights with what they come from."""
        origin = provenance(
            {"training": self.recipe.seed},
            recipe=self.config["recipe"],
            data=self.config["data"],
            start=self.config["start"],
            epoch=epoch,
            untrained_words=self._untrained_words,
        )
        validated_on = "held_out" if self.recipe.held_out else "val"
        save_weights(
            path,
            cast(RelationNetwork, network),
            self.vocabulary,
            metrics={validated_on: metrics},
            provenance=origin,
        )

    @cached_property
    def _untrained_words(self) -> list[str]:
        """Words of the vocabulary that no training question has, and that no symmetry puts into one."""
        asked = np.zeros(len(self.vocabulary.words) + 1, bool)
        for pool in self.pools:
            asked[self.inputs.tokens[pool.questions]] = True
        if self.wording:
            asked = self.wording.reached(asked)
        return [word for number, word in enumerate(self.vocabulary.words, 1) if not asked[number]]

    def next_epoch(self, position: Position, row: Row) -> None:
        """Go to the next epoch, and to the next stage where the held-out accuracy ends this one."""
        ends = position.judge(row["stage_accuracy"], self.recipe.curriculum)
        position.next_epoch()
        if ends:
            position.next_stage()
