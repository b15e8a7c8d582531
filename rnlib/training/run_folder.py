"""The folder of a training: what is in it, and the rule that one folder holds one training.

run.json            preset, recipe, vocabulary and fingerprints of the data
history.csv         a line an epoch            steps.csv   training loss every few steps
weights/            last, best and kept epochs: NAME.safetensors with NAME.json
state/              what resuming needs: last.pt and kept epochs
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
from pandas.api.types import is_numeric_dtype

from rnlib.clevr.split import Split
from rnlib.clevr.vocabulary import Vocabulary
from rnlib.errors import ConfigError, DataError, reason
from rnlib.files import atomic_write, make_folder, open_input, read_json, sha256, write_json
from rnlib.model.preset import Preset
from rnlib.model.pretrained import find_weights
from rnlib.synthesis.settings import VERSION
from rnlib.training.recipe import Recipe
from rnlib.training.resume_state import Row

STEP_COLUMNS = ["step", "epoch", "train_loss", "lr"]


class _Metrics(msgspec.Struct):
    metrics: dict[str, dict[str, Any]]


class TrainingFolder:
    """Paths of a training, and its tables."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    @property
    def history_file(self) -> Path:
        return self.root / "history.csv"

    @property
    def steps_file(self) -> Path:
        return self.root / "steps.csv"

    def weights(self, name: str) -> Path:
        """The weights `last`, `best` or `epoch_0010`."""
        return self.root / "weights" / f"{name}.safetensors"

    def state(self, name: str = "last") -> Path:
        """The state to resume from, by the name of its weights."""
        return self.root / "state" / f"{name}.pt"

    def metrics(self) -> dict[str, Any]:
        """The metrics of the best weights on what they were validated on: val, or the training scenes held out."""
        found = read_json(self.weights("best").with_suffix(".json"), _Metrics).metrics
        return next(iter(found.values()))

    def history(self, *columns: str) -> pd.DataFrame:
        """history.csv as a table, a row an epoch. Raises DataError where it, or one of `columns`, is not there."""
        return read_table(self.history_file, ("epoch", *columns))

    def steps(self) -> pd.DataFrame:
        """steps.csv as a table, a row every `log_every` steps; none where a training has fewer."""
        return read_table(self.steps_file, STEP_COLUMNS, may_be_empty=True)

    def epochs_done(self, recipe: Recipe) -> int:
        """Finished epochs after the curriculum; 0 where nothing has been recorded."""
        if not os.path.isfile(self.history_file):
            return 0
        return int((self.history("stage")["stage"] > len(recipe.curriculum)).sum())

    def write_tables(self, history: list[Row], steps: list[Row]) -> None:
        """Write history.csv and steps.csv."""
        with atomic_write(self.history_file, "w") as file:
            pd.DataFrame(history).to_csv(file, index=False)
        with atomic_write(self.steps_file, "w") as file:
            pd.DataFrame(steps, columns=STEP_COLUMNS).to_csv(file, index=False)

    def claim(self, config: dict[str, Any]) -> None:
        """Take the folder for a training, or find that it holds this very one; ConfigError if it holds another.

        A training that saved neither a state nor a history does not count.
        """
        path = self.root / "run.json"
        make_folder(self.root, "the training")
        for name in (path, self.history_file, self.state()):
            if os.path.lexists(name) and not os.path.isfile(name):
                raise DataError(f"expected the file {name}, found something else. Remove it, or choose another folder.")
        if os.path.isfile(path) and os.path.isfile(self.state()):
            check_same(read_json(path, dict[str, dict[str, Any]]), config, self.root)
        elif os.path.isfile(self.history_file):
            raise ConfigError(
                f"{self.root} holds a training without its state: expected {self.state()}, found none. Put the state "
                "back to continue it; to start a new one, remove this folder or give another."
            )
        write_json(path, config)


def training_config(
    preset: Preset,
    recipe: Recipe,
    vocabulary: Vocabulary,
    splits: tuple[Split, Split],
    start: tuple[Path | str | None, Path | str | None] = (None, None),
) -> dict[str, Any]:
    """What run.json holds: all that decides what a training computes. start: weights as init_conv and as init_from."""
    (train, val), (init_conv, init_from) = splits, start
    config: dict[str, Any] = msgspec.to_builtins(
        {"preset": preset, "recipe": recipe, "vocabulary": vocabulary}, str_keys=True
    )
    config["data"] = {"train": train.fingerprint, "val": val.fingerprint}
    if any(stage.scenes for stage in recipe.curriculum):
        config["data"]["stages"] = f"synthetic, version {VERSION}"
    if preset.picture_size:
        config["data"] |= {"train pictures": train.image_fingerprint, "val pictures": val.image_fingerprint}
    config["start"] = {
        "init_conv": sha256(find_weights(init_conv)) if init_conv else "",
        "init_from": sha256(find_weights(init_from)) if init_from else "",
    }
    return msgspec.json.decode(msgspec.json.encode(config))  # tuples become lists, as they come back from a file


def config_digest(config: Mapping[str, Any]) -> str:
    """A short name for a training: equal for configurations that continue one another."""
    recipe = {key: value for key, value in config["recipe"].items() if key not in _may_change(config["recipe"])}
    return hashlib.blake2b(msgspec.json.encode({**config, "recipe": recipe}), digest_size=4).hexdigest()


def check_same(before: Mapping[str, Any], now: Mapping[str, Any], where: Path) -> None:
    """Raise ConfigError naming the first difference that keeps a training from going on."""
    for part, values in now.items():
        for key, value in values.items():
            found = before.get(part, {}).get(key)
            # A training may move to a machine that computes faster in another precision, if that is asked for.
            if found != value and not (part == "recipe" and key in {*_may_change(now["recipe"]), "precision"}):
                raise ConfigError(
                    f"{where} holds a training with {part} {key} = {_short(found)}, and {_short(value)} was asked for. "
                    "Give the same options to continue it, or another folder to start a new one."
                )


def resume_source(weights: Path) -> Path:
    """The state file that belongs to kept weights: RUN/weights/NAME.safetensors -> RUN/state/NAME.pt."""
    if weights.suffix == ".pt":
        return weights
    return weights.parent.parent / "state" / f"{weights.stem}.pt"


def _may_change(recipe: Mapping[str, Any]) -> set[str]:
    """Fields of a recipe that may change when a training continues: they do not touch the steps already done."""
    return {"log_every"} if recipe.get("lr_schedule") == "cosine" else {"epochs", "log_every"}


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) < 60 else text[:57] + "…"


def read_table(path: Path, columns: Sequence[str], *, may_be_empty: bool = False) -> pd.DataFrame:
    """A table of a training. Raises DataError where it is absent or no such table."""
    if not os.path.exists(path):
        raise DataError(f"expected {path}, found none. Is this the folder of a training that finished an epoch?")
    with open_input(path) as file:
        try:
            table = pd.read_csv(file)
        except (ValueError, pd.errors.ParserError) as error:
            raise DataError(f"{path} is no table ({reason(error)}). Copy it again, or continue the training.") from None
    if may_be_empty and not len(table) and set(columns) <= set(table):
        return table.astype(float)
    missing = [column for column in columns if column not in table or not is_numeric_dtype(table[column])]
    if missing:
        raise DataError(
            f"{path} is damaged: expected numbers in the columns {', '.join(columns)}, found none in "
            f"{', '.join(missing)}. Copy it again, or continue the training."
        )
    return table


def pictures_config(preset: Preset, recipe: msgspec.Struct, train: Split, val: Split) -> dict[str, Any]:
    """What run.json holds of a training on pictures and scenes alone, as it comes back from the file."""
    data = {
        f"{name} {what}": value
        for name, split in (("train", train), ("val", val))
        for what, value in (("data", split.fingerprint), ("pictures", split.image_fingerprint))
    }
    config: dict[str, Any] = msgspec.json.decode(
        msgspec.json.encode({"preset": preset, "recipe": recipe, "data": data})
    )
    return config
