"""The recipe of a training: every hyper-parameter that is not the network's own.

The defaults are the seed's.
"""

import math
import re
from collections.abc import Mapping
from itertools import accumulate
from typing import Annotated, Literal

import msgspec

from rnlib.errors import ConfigError

Count = Annotated[int, msgspec.Meta(ge=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Growth = Annotated[float, msgspec.Meta(ge=1)]


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a network is trained.

    epochs           passes over the training questions
    optimizer        adam (weight decay as an L2 term, as in the seed) or adamw (decoupled)
    learning_rate    of the first epoch
    rate_gamma       factor of the rate every rate_step epochs; 1 keeps it constant
    rate_step        epochs
    rate_max         cap of a growing rate
    warmup           epochs (or a part of one) in which the rate rises from 0 to its value
    decay            none; or cosine: after warm-up and curriculum the rate falls to 0 along half a cosine
    batch_size       questions a step in the first epoch
    batch_gamma      factor of the batch size every batch_step epochs; 1 keeps it constant
    batch_step       epochs
    batch_max        cap of a growing batch size
    weight_decay     see optimizer
    clip_norm        the gradient's norm is clipped to this; 0 leaves it alone
    ema              validate and save a moving average of the weights with this decay a step; 0: the weights themselves
    precision        of the products over pairs (and on a CPU of the LSTM): fp32, bf16, or auto (bf16 where it is faster
                     here: on a CPU as measured)
    augment          shift (by a sixteenth of the side) and rotate (2.8 degrees) training pictures
    symmetries       permute the values of each attribute and mirror left and right, at random for each question (with
                     group_questions: each scene), in scene, question and answer alike; state descriptions only
    group_questions  keep a picture's questions together in a batch: its convolutions are computed once for all of them
                     (and they share an augmentation); the seed shuffles single questions
    train_questions  train on so many questions, drawn once; 0 takes all
    held_out         validate on so many of the last training scenes, which are not trained on, so that choosing the
                     best epoch never looks at val; 0 validates on val
    curriculum       easy questions first: stages "EPOCHS:OBJECTS:STEPS", such as "40:3:6 10:5:8": for so many epochs
                     only questions on scenes of at most so many objects with programs of at most so many steps
    init             of g's weights: torch (uniform, the seed's) or he (normal, as large as ReLUs need; He et al.
                     2015), without which what g knows of a pair is faint by the third layer, where IR presets join
    forget_bias      what the LSTM's forget gates begin with (the seed: 0, which forgets half with every word)
    seed             of the initial weights, the order of questions, augmentation and dropout
    log_every        a line of steps.csv every so many steps
    """

    epochs: Count = 350
    optimizer: Literal["adam", "adamw"] = "adam"
    learning_rate: Positive = 5e-6
    rate_gamma: Growth = 2.0
    rate_step: Count = 20
    rate_max: Positive = 5e-4
    warmup: NotNegative = 0.0
    decay: Literal["none", "cosine"] = "none"
    batch_size: Count = 640
    batch_gamma: Growth = 1.0
    batch_step: Count = 20
    batch_max: Count = 640
    weight_decay: NotNegative = 1e-4
    clip_norm: NotNegative = 50.0
    ema: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    precision: Literal["fp32", "bf16", "auto"] = "fp32"
    augment: bool = True
    symmetries: bool = False
    group_questions: bool = False
    train_questions: Annotated[int, msgspec.Meta(ge=0)] = 0
    held_out: Annotated[int, msgspec.Meta(ge=0)] = 0
    curriculum: str = ""
    init: Literal["torch", "he"] = "torch"
    forget_bias: float = 0.0
    seed: Annotated[int, msgspec.Meta(ge=0)] = 42
    log_every: Count = 100

    def __post_init__(self) -> None:
        for name, gamma, start, cap in (
            ("rate", self.rate_gamma, self.learning_rate, self.rate_max),
            ("batch", self.batch_gamma, self.batch_size, self.batch_max),
        ):
            if gamma > 1 and start > cap:
                raise ConfigError(
                    f"recipe: with {name}_gamma = {gamma} expected a start of at most {name}_max = {cap}, "
                    f"found {start}. Raise {name}_max, or set {name}_gamma to 1 to keep it constant."
                )

        self.stages()

    def stages(self) -> list[tuple[int, int, int]]:
        """The curriculum as (epochs, objects, steps). ConfigError for another form."""
        stages = []
        for stage in self.curriculum.split():
            numbers = re.fullmatch(r"([1-9]\d*):([1-9]\d*):([1-9]\d*)", stage)
            if not numbers:
                raise ConfigError(
                    "recipe: expected stages EPOCHS:OBJECTS:STEPS in curriculum, such as '40:3:6 10:5:8', "
                    f"found '{stage}'."
                )
            epochs, objects, steps = map(int, numbers.groups())
            stages.append((epochs, objects, steps))
        return stages

    def stage_starts(self) -> list[int]:
        """The first epoch of each stage, and of what comes behind them."""
        return [1 + epoch for epoch in accumulate((epochs for epochs, _, _ in self.stages()), initial=0)]

    def stage_at(self, epoch: int) -> tuple[int, int] | None:
        """Most objects and most steps of programs in epoch 1, 2, …; None: all."""
        end = 0
        for epochs, objects, steps in self.stages():
            end += epochs
            if epoch <= end:
                return objects, steps
        return None

    def rate_at(self, epoch: int, done: float = 1.0) -> float:
        """The learning rate of epoch 1, 2, … when a part of it (0 to 1) is done.

        learning_rate * rate_gamma ** ((epoch + 1) // rate_step), capped, times warm-up and decay.
        The `+ 1` is the seed's. Its cap is checked before it doubles, so its nominal 5e-4
        ends at 6.4e-4: give rate_max that value to repeat it.
        """
        rate = self.learning_rate
        if self.rate_gamma != 1:
            rate = min(rate * self.rate_gamma ** ((epoch + 1) // self.rate_step), self.rate_max)
        past = epoch - 1 + done
        if past < self.warmup:
            return rate * past / self.warmup
        if self.decay == "cosine":
            begin = max(self.warmup, self.stage_starts()[-1] - 1)
            if past > begin:
                rate *= 0.5 + 0.5 * math.cos(math.pi * (past - begin) / (self.epochs - begin))
        return rate

    def batch_at(self, epoch: int) -> int:
        """The batch size of epoch 1, 2, …, which grows like the learning rate."""
        if self.batch_gamma == 1:
            return self.batch_size
        return min(int(self.batch_size * self.batch_gamma ** ((epoch + 1) // self.batch_step)), self.batch_max)


def make_recipe(fields: Mapping[str, object]) -> Recipe:
    """A recipe from its fields; the others keep the seed's values. ConfigError names a wrong field."""
    try:
        return msgspec.convert(dict(fields), Recipe, strict=False)
    except msgspec.ValidationError as error:
        known = ", ".join(Recipe.__struct_fields__)
        raise ConfigError(f"recipe: {error}. The fields of a recipe are: {known}.") from None


def recipe_of(parameters: Mapping[str, object]) -> Recipe:
    """The recipe among a notebook's parameters, whose other names are left alone.

    The parameter `further` holds fields that have no line of their own. ConfigError for a wrong or a repeated one.
    """
    fields = {name: value for name, value in parameters.items() if name in Recipe.__struct_fields__}
    further = parameters.get("further", {})
    assert isinstance(further, Mapping)
    for name in further:
        if name in fields:
            raise ConfigError(f"parameter 'further': expected fields without a parameter of their own, found '{name}'.")
    return make_recipe({**fields, **further})
