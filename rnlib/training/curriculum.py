"""A curriculum: stages from easy to hard, each with questions of its own and a held-out accuracy that ends it.

A stage may have synthetic scenes of its own (few objects, some question families), which cost little; or it takes the
easy part of the training split. It is judged by held-out questions *of the stage*: the training loss alone does not
tell learning from memorising (docs/log.md), and the accuracy over all questions hides what happens in one stage. After
the last stage come all questions of the training split.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rnlib.clevr.constants import family_numbers
from rnlib.clevr.split import Split, open_split
from rnlib.clevr.subsets import join, with_questions
from rnlib.clevr.vocabulary import Vocabulary
from rnlib.errors import DataError
from rnlib.model.inputs import translate_answers, translate_tokens
from rnlib.synthesis import synthesize
from rnlib.synthesis.settings import VERSION
from rnlib.training.recipe import Stage

GAIN = 0.002  # a held-out accuracy that is higher by less than this is no gain
HELD_OUT = 20  # of a stage's own scenes so many times fewer are held out, in addition
FIRST_SEED = 1_000_000  # of the stages' scenes: far from the seeds that people give to their sets


@dataclass(frozen=True)
class Pool:
    """The questions of a stage: those to train on, by their number in the joined training split, and held-out ones."""

    questions: np.ndarray
    held_out: Split


@dataclass(frozen=True)
class StageScenes:
    """How the stages' own scenes are made.

    images: side of the pictures in pixels, None for state descriptions. folder: where the sets are written; what is
    there already is used.
    """

    seed: int
    images: int | None
    folder: Path
    verbose: bool = True

    def make(self, number: int, stage: Stage) -> Iterator[Split]:
        """The training and the held-out split of stage `number`."""
        asked = (stage.families, stage.contrast) if stage.contrast else stage.families
        scenes = (VERSION, stage.scenes, stage.fewest, stage.objects, asked, self.seed, self.images)
        digest = hashlib.blake2b(repr(scenes).encode(), digest_size=4).hexdigest()
        made = synthesize(
            self.folder / f"stage-{number}-{digest}",
            train=stage.scenes,
            val=-(-stage.scenes // HELD_OUT),
            seed=FIRST_SEED + 1000 * self.seed + number,
            families=stage.families or None,
            objects=(stage.fewest, stage.objects),
            images=self.images,
            contrast=stage.contrast,
            verbose=self.verbose,
        )
        for name in ("train", "val"):
            yield open_split(made, name, images=self.images, verbose=self.verbose)


def lay_out(
    stages: Sequence[Stage], train: Split, held_out: Split, vocabulary: Vocabulary, scenes: StageScenes
) -> tuple[Split, list[Pool]]:
    """The scenes of all stages and of the training split as one split, and a pool for each stage and for what follows.

    held_out: what the whole training is validated on. Raises ConfigError or DataError where a stage finds no
    questions, or the training split lacks what tells its easy questions.
    """
    splits = [train]
    pools = []
    begin = train.n_questions
    for number, stage in enumerate(stages, 1):
        what = f"stage {number} of the curriculum"
        if not stage.scenes:
            pools.append(Pool(easy_questions(stage, train, what), _held_out(stage, held_out, what)))
            continue
        own, own_held_out = scenes.make(number, stage)
        for split in (own, own_held_out):
            translate_tokens(split, vocabulary)  # says which word is unknown; joining would not
            translate_answers(split, vocabulary)
        pools.append(Pool(begin + easy_questions(stage, own, what), _held_out(stage, own_held_out, what)))
        splits.append(own)
        begin += own.n_questions
    pools.append(Pool(np.arange(train.n_questions), held_out))
    return join(splits, vocabulary), pools


def easy_questions(stage: Stage, split: Split, what: str) -> np.ndarray:
    """The numbers of the questions of a split that belong to a stage. DataError, naming `what`, if there are none."""
    easy = np.ones(split.n_questions, bool)
    if not split.has_scenes:
        raise DataError(f"expected scenes for {what}, found a split without. Train without a curriculum.")
    objects = (split.codes[:, :, 0] != 0).sum(1)[split.image_of_question]
    easy &= (objects >= stage.fewest) & (objects <= stage.objects)
    if stage.steps is not None:
        if not split.program_lengths.any():
            raise DataError(f"expected programs for the steps of {what}, found a split without. Leave steps out.")
        easy &= split.program_lengths <= stage.steps
    if stage.families:
        easy &= np.isin(split.families, family_numbers(stage.families))
    if not easy.any():
        families = ", ".join(map(str, stage.families)) or "all"
        raise DataError(
            f"expected questions for {what} ({stage.fewest} to {stage.objects} objects, steps {stage.steps}, families "
            f"{families}) among {split.n_questions:,} of {split.name}, found none. Change the stage, or give it scenes "
            "of its own."
        )
    return np.flatnonzero(easy)


def _held_out(stage: Stage, split: Split, what: str) -> Split:
    return with_questions(split, easy_questions(stage, split, f"held-out questions of {what}"))
