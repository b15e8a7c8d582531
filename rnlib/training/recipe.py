"""The recipe of a training: every hyper-parameter that is not the network's own.

The defaults are the 2018 implementation's.
"""

import math
import re
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from rnlib.clevr.constants import FAMILY_GROUPS, family_numbers
from rnlib.errors import ConfigError
from rnlib.fields import Seed, fields_of
from rnlib.model.preset import PRESET_FIELDS

Count = Annotated[int, Meta(ge=1)]
Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
Growth = Annotated[float, Meta(ge=1)]
Accuracy = Annotated[float, Meta(gt=0, le=1)]


class Stage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One stage of a curriculum. It ends after `epochs`, at `target` or for lack of `patience`, what comes first."""

    objects: Annotated[int, Meta(ge=1, le=10, description="most objects in a scene")]
    fewest: Annotated[int, Meta(ge=1, le=10, description="fewest objects in a scene")] = 1
    families: Annotated[
        tuple[str | int, ...],
        Meta(description=f"question families, by groups ({', '.join(FAMILY_GROUPS)}) or numbers (0 to 89); none: all"),
    ] = ()
    steps: Annotated[Count | None, Meta(description="most steps in a question's program; null: any number")] = None
    scenes: Annotated[
        int, Meta(ge=0, le=10**6, description="synthetic scenes made for the stage; 0: those of the training split")
    ] = 0
    contrast: Annotated[
        bool,
        Meta(
            description="the stage's own scenes have questions with a relation, in pairs that differ in the object "
            "they start from and in the answer"
        ),
    ] = False
    target: Annotated[Accuracy | None, Meta(description="held-out accuracy that ends it; null: none")] = 0.95
    patience: Annotated[Count | None, Meta(description="epochs without a gain that end it; null: any number")] = 3
    epochs: Annotated[Count | None, Meta(description="most epochs; null: any number")] = None

    def __post_init__(self) -> None:
        if self.fewest > self.objects:
            raise ConfigError(
                f"curriculum: expected a stage's fewest objects to be at most its objects ({self.objects}), found "
                f"{self.fewest}."
            )
        family_numbers(self.families)
        if self.contrast and not self.scenes:
            raise ConfigError("curriculum: expected scenes of its own for a stage with contrast, found scenes 0.")
        if self.target is None and self.patience is None and self.epochs is None:
            raise ConfigError("curriculum: expected a target, patience or epochs that end a stage, found none of them.")

    def is_over(self, epochs: int, accuracy: float, without_gain: int) -> bool:
        """Whether the stage ends after so many of its epochs, with this held-out accuracy."""
        return (
            (self.epochs is not None and epochs >= self.epochs)
            or (self.target is not None and accuracy >= self.target)
            or (self.patience is not None and without_gain >= self.patience)
        )


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a network is trained."""

    epochs: Annotated[Count, Meta(description="passes over the training questions (after the curriculum)")] = 350
    optimizer: Annotated[
        Literal["adam", "adamw", "muon"],
        Meta(
            description="adam (weight decay as an L2 term, as in the 2018 implementation), adamw (decoupled), or muon: "
            "Muon for the matrices of LSTM, g and f, adamw for the other weights"
        ),
    ] = "adam"
    lr: Annotated[Positive, Meta(description="learning rate of the first epoch")] = 5e-6
    lr_gamma: Annotated[
        Growth, Meta(description="schedule step: factor of the rate every lr_step epochs; 1 keeps it constant")
    ] = 2.0
    lr_step: Annotated[Count, Meta(description="schedule step: epochs between two factors of lr_gamma")] = 20
    lr_max: Annotated[Positive, Meta(description="schedule step: cap of a growing rate")] = 5e-4
    lr_warmup: Annotated[
        NotNegative, Meta(description="epochs (or a part of one) in which the rate rises from 0 to its value")
    ] = 0.0
    lr_schedule: Annotated[
        Literal["step", "cosine"],
        Meta(
            description="step: the rate grows by lr_gamma every lr_step epochs up to lr_max; cosine: after warm-up and "
            "curriculum it falls from lr to 0 along half a cosine, and lr_gamma, lr_step and lr_max are not used"
        ),
    ] = "step"
    batch_size: Annotated[Count, Meta(description="questions per step in the first epoch")] = 640
    batch_gamma: Annotated[
        Growth, Meta(description="factor of the batch size every batch_step epochs; 1 keeps it constant")
    ] = 1.0
    batch_step: Annotated[Count, Meta(description="epochs between two factors of batch_gamma")] = 20
    batch_max: Annotated[Count, Meta(description="cap of a growing batch size")] = 640
    weight_decay: Annotated[NotNegative, Meta(description="see optimizer")] = 1e-4
    clip_norm: Annotated[NotNegative, Meta(description="the gradient's norm is clipped to this; 0 leaves it alone")] = (
        50.0
    )
    ema: Annotated[
        float,
        Meta(
            ge=0,
            lt=1,
            description="validate and save a moving average of the weights with this decay per step (less at first); "
            "0: the weights themselves",
        ),
    ] = 0.0
    precision: Annotated[
        Literal["fp32", "bf16", "auto"],
        Meta(
            description="of the convolutions and the products over pairs (and on a CPU of the LSTM); auto: bf16 where "
            "it is faster here (on a CPU as measured, when the training begins)"
        ),
    ] = "fp32"
    augment: Annotated[
        bool,
        Meta(
            description="shift (by a sixteenth of the side) and rotate (2.8 degrees) training pictures; with "
            "describing_channels, which tell places in the world: change their colours a little"
        ),
    ] = True
    cell_weight: Annotated[
        NotNegative,
        Meta(
            description="weight of the loss of what each cell holds (that of train-cells) beside that of the answers; "
            "for presets with describing_channels, on splits with scenes"
        ),
    ] = 0.0
    symmetries: Annotated[
        bool,
        Meta(
            description="permute the values of each attribute and mirror left and right, at random for each question "
            "(with group_questions: each scene), in scene, question and answer alike; state descriptions only"
        ),
    ] = False
    group_questions: Annotated[
        bool,
        Meta(
            description="keep a picture's questions together in a batch: its convolutions are computed once for all of "
            "them (and they share an augmentation); the 2018 implementation shuffles single questions"
        ),
    ] = False
    train_questions: Annotated[int, Meta(ge=0, description="train on this many questions, drawn once; 0 takes all")] = 0
    train_pictures: Annotated[
        int | str,
        Meta(description="train on the questions about this many pictures, or a share such as 10%, drawn once; 0: all"),
    ] = 0
    held_out: Annotated[
        int,
        Meta(
            ge=0,
            description="validate on this many of the last training scenes, which are not trained on, so that choosing "
            "the best epoch never looks at val; 0 validates on val",
        ),
    ] = 0
    curriculum: Annotated[
        tuple[Stage, ...],
        Meta(
            description="easy questions first: stages such as {objects: 3, families: [zero_hop], scenes: 20000}, each "
            "until its held-out questions are answered; after them come `epochs` epochs of all questions"
        ),
    ] = ()
    replay: Annotated[
        float, Meta(ge=0, lt=1, description="fraction of an epoch's questions that are of the stages before")
    ] = 0.0
    init: Annotated[
        Literal["torch", "he"],
        Meta(
            description="of g's weights: torch (uniform, as in 2018) or he (normal, as large as ReLUs need; He et al. "
            "2015), without which what g knows of a pair is faint by the third layer, where IR presets join"
        ),
    ] = "torch"
    forget_bias: Annotated[
        float,
        Meta(
            description="what the LSTM's forget gates begin with (the 2018 implementation: 0, which forgets half with "
            "every word)"
        ),
    ] = 0.0
    seed: Annotated[
        Seed, Meta(description="of the initial weights, the order of questions, augmentation and dropout")
    ] = 42
    log_every: Annotated[Count, Meta(description="steps between two lines of steps.csv")] = 100

    def __post_init__(self) -> None:
        self.pictures_of(1)
        for name, gamma, start, cap in (
            ("lr", self.lr_gamma if self.lr_schedule == "step" else 1, self.lr, self.lr_max),
            ("batch", self.batch_gamma, self.batch_size, self.batch_max),
        ):
            if gamma > 1 and start > cap:
                raise ConfigError(
                    f"recipe: with {name}_gamma = {gamma} expected a start of at most {name}_max = {cap}, "
                    f"found {start}. Raise {name}_max, or set {name}_gamma to 1 to keep it constant."
                )

    def lr_at(self, epoch: int, done: float = 1.0, curriculum: int | None = 0) -> float:
        """The learning rate of epoch 1, 2, … when a part of it (0 to 1) is done.

        curriculum: epochs that the curriculum took; None while it lasts, when the rate does not fall yet.

        Schedule "step": lr * lr_gamma ** ((epoch + 1) // lr_step), capped, times the warm-up. The `+ 1` is of 2018.
        Its cap is checked before it doubles, so its nominal 5e-4 ends at 6.4e-4: give lr_max that value to repeat it.
        Schedule "cosine": lr, times the warm-up and half a cosine.
        """
        lr = self.lr
        if self.lr_schedule == "step" and self.lr_gamma != 1:
            lr = _grown(lr, self.lr_gamma, (epoch + 1) // self.lr_step, self.lr_max)
        past = epoch - 1 + done
        if past < self.lr_warmup:
            return lr * past / self.lr_warmup
        if self.lr_schedule == "cosine" and curriculum is not None:
            begin, end = max(self.lr_warmup, curriculum), curriculum + self.epochs
            if past > begin:
                lr *= 0.5 + 0.5 * math.cos(math.pi * (past - begin) / (end - begin))
        return lr

    def pictures_of(self, pictures: int) -> int:
        """How many of so many pictures `train_pictures` means: all, a number or a share, at least one."""
        text = str(self.train_pictures).replace(" ", "")
        found = re.fullmatch(r"(\d+)|(\d+(?:\.\d+)?)%", text)
        if not found or (found[2] and not 0 < float(found[2]) <= 100):
            raise ConfigError(
                f"recipe: expected train_pictures to be a number of pictures or a share such as 10%, found '{text}'."
            )
        if found[2]:
            return max(1, round(pictures * float(found[2]) / 100))
        return int(found[1]) or pictures

    def batch_at(self, epoch: int) -> int:
        """The batch size of epoch 1, 2, …, which grows like the learning rate."""
        if self.batch_gamma == 1:
            return self.batch_size
        times, most = (epoch + 1) // self.batch_step, float(self.batch_max)
        return int(_grown(float(self.batch_size), self.batch_gamma, times, most))


def _grown(value: float, factor: float, times: int, most: float) -> float:
    try:
        return min(value * factor**times, most)
    except OverflowError:
        return most


RECIPE_FIELDS = fields_of(Recipe)
# What may be set for a training, each by its one name in files, notebooks and on the command line.
FIELDS = {**RECIPE_FIELDS, **PRESET_FIELDS}


def make_recipe(fields: Mapping[str, object]) -> Recipe:
    """A recipe from its fields; the others keep the 2018 implementation's values. ConfigError names a wrong field."""
    try:
        return msgspec.convert(dict(fields), Recipe, strict=False)
    except msgspec.ValidationError as error:
        known = ", ".join(Recipe.__struct_fields__)
        raise ConfigError(f"recipe: {error}. The fields of a recipe are: {known}.") from None


def recipe_of(parameters: Mapping[str, object]) -> Recipe:
    """The recipe among a training's parameters, whose other names are left alone. ConfigError names a wrong field."""
    return make_recipe({name: value for name, value in parameters.items() if name in RECIPE_FIELDS})
