"""`rnlib train`."""

import argparse
import json
import re
from pathlib import Path
from typing import Any

import torch
import yaml

from rnlib.clevr.split import Split, open_split
from rnlib.clevr.vocabulary import choose_vocabulary
from rnlib.commands.options import add_clevr, add_device
from rnlib.errors import ConfigError
from rnlib.evaluation import metrics_text
from rnlib.evaluation.folder import evaluate_into
from rnlib.files import read_json
from rnlib.model.inputs import choose_device
from rnlib.model.preset import load_preset, parse_overrides, shipped_presets
from rnlib.model.weights import Weights, load_weights
from rnlib.runs.parameters import check_parameters, declared_parameters
from rnlib.runs.root import notebook_path
from rnlib.synthesis import synthesize
from rnlib.training.loop import Saving, train
from rnlib.training.recipe import Recipe, make_recipe
from rnlib.workers import Workers

TRAINING_NOTEBOOKS = ("02_train_state_descriptions", "03_train_from_pixels")


def add_commands(commands: Any) -> None:
    """Add `train`, with an option for each field of a recipe."""
    parser = commands.add_parser(
        "train",
        help="train a network; run again with the same options to continue",
        description="Train a network on the train split of a CLEVR set, validating on val after each epoch. "
        "The defaults are the seed's recipe. The same command continues a training that was interrupted. "
        "Several GPUs or processes: torchrun --nproc-per-node=N -m rnlib train ..., with the same batch size.",
    )
    parser.add_argument("--preset", help=f"{', '.join(shipped_presets())}, or a file (JSON)")
    parser.add_argument(
        "--params",
        action=_Params,
        metavar="FILE",
        help="preset and recipe of a profile, such as params/synthetic/02_train_state_descriptions.yaml; options "
        "behind it override it",
    )
    add_clevr(parser, required=False)
    parser.add_argument(
        "--synthetic",
        metavar="TRAIN:VAL:SEED",
        help="in place of --clevr: make a synthetic set of so many scenes in RUN/data, or use the one there",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the training")
    add_device(parser)

    network = parser.add_argument_group("network")
    network.add_argument("--dropout", type=float, help="override the preset's dropout before f's last layer")
    network.add_argument("--question-injection", type=int, metavar="LAYER", help="override where the question joins g")
    network.add_argument(
        "--override", nargs="+", default=[], metavar="FIELD=VALUE", help="override any other field of the preset"
    )
    network.add_argument(
        "--vocabulary",
        default="train",
        metavar="WHICH",
        help="train (words in order of first appearance in the training questions), clevr-v1.0, or a JSON file",
    )
    network.add_argument(
        "--transfer-conv", type=Path, metavar="FILE", help="start from the convolutions of these weights"
    )
    network.add_argument(
        "--grow-from",
        metavar="WEIGHTS",
        help="start as the network of these weights (a file or a released name), which the preset's may be larger than",
    )

    recipe = parser.add_argument_group("recipe (defaults: the seed's)")
    defaults, meanings = Recipe(), field_meanings(Recipe)
    for field in Recipe.__struct_fields__:
        default = getattr(defaults, field)
        option = f"--{field.replace('_', '-')}"
        if isinstance(default, bool):
            recipe.add_argument(option, action=argparse.BooleanOptionalAction, default=default, help=meanings[field])
        else:
            # The recipe itself converts and checks, so that a notebook and this command say the same of a wrong value.
            recipe.add_argument(option, default=default, metavar="X", help=f"{meanings[field]} ({default})")

    saving = parser.add_argument_group("saving")
    saving.add_argument("--keep", default="last", help="last (and best), or every:N to keep every N-th epoch too")
    saving.add_argument(
        "--checkpoint-minutes", type=float, default=5.0, metavar="M", help="state within an epoch (default 5)"
    )
    saving.add_argument(
        "--minutes", type=float, default=0.0, metavar="M", help="save and stop after so many minutes (default 0: never)"
    )
    saving.add_argument("--resume-from", type=Path, metavar="FILE", help="go on from the weights of a kept epoch")
    parser.set_defaults(run=_train)


def field_meanings(kind: type) -> dict[str, str]:
    """The meaning of each field of a struct, from the table in its docstring: name, blanks, text."""
    meanings: dict[str, str] = {}
    name = ""
    for line in (kind.__doc__ or "").splitlines():
        begin = re.fullmatch(r" {4}(\w+) {2,}(\S.*)", line)
        if begin:
            name, meanings[begin[1]] = begin[1], begin[2]
        elif name and line.startswith(" " * 8):
            meanings[name] += " " + line.strip()
        else:
            name = ""
    return {name: text.replace("%", "%%") for name, text in meanings.items()}


class _Params(argparse.Action):
    """Takes preset and recipe from the parameters of notebook 02 or 03, as if they had been given as options."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: object, option: object = None
    ) -> None:
        path = Path(str(values))
        try:
            given = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"expected --params to name a YAML file of parameters, found {path}: {error}.") from None
        if path.stem not in TRAINING_NOTEBOOKS or not isinstance(given, dict):
            raise ConfigError(
                f"expected --params to name the parameters of a training notebook, {' or '.join(TRAINING_NOTEBOOKS)} "
                f"with .yaml behind it, found {path}."
            )
        values_of = check_parameters(declared_parameters(notebook_path(path.stem)), given)
        namespace.override = [f"{name}={json.dumps(value)}" for name, value in values_of["overrides"].items()]
        for name, value in {**values_of, **values_of["further"]}.items():
            if name in Recipe.__struct_fields__ or name in ("preset", "vocabulary", "keep", "minutes", "grow_from"):
                setattr(namespace, name, value)


def _train(options: argparse.Namespace) -> None:
    if not options.preset:
        raise ConfigError(
            f"expected --preset NAME or --params FILE, found neither. Presets: {', '.join(shipped_presets())}."
        )
    saving = Saving(options.keep, options.checkpoint_minutes, options.minutes)
    overrides = parse_overrides(options.override)
    for field in ("dropout", "question_injection"):
        if getattr(options, field) is not None:
            overrides[field] = getattr(options, field)
    preset = load_preset(options.preset, overrides)
    recipe = make_recipe({field: getattr(options, field) for field in Recipe.__struct_fields__})
    device = choose_device(options.device)
    size = preset.image_size if preset.objects == "pixels" else None
    workers = Workers.join(device)
    if not workers.leads:
        workers.wait()  # until the first process has made and prepared the splits
    directory = _data(options, size)
    train_split, val_split = (
        open_split(directory, name, images=size, cache=options.cache, show=workers.leads) for name in ("train", "val")
    )
    if workers.leads:
        workers.wait()
    folder = train(
        preset,
        recipe,
        train_split,
        val_split,
        options.out,
        vocabulary=choose_vocabulary(options.vocabulary, train_split.vocabulary),
        device=device,
        saving=saving,
        transfer=options.transfer_conv,
        grow_from=options.grow_from,
        resume_from=options.resume_from,
    )
    if not workers.leads:
        return
    if not folder.history_file.is_file():  # the time budget ended before the first epoch did
        return
    history = folder.history()
    best = folder.weights("best")
    print(f"best validation accuracy {100 * history['val_accuracy'].max():.2f} %; weights in {best}")
    if recipe.held_out and len(history) == recipe.epochs:
        metrics = _answer_val(folder.root / "val", load_weights(best), val_split, device)
        print(metrics_text(metrics))
        print(f"accuracy on val {100 * metrics['accuracy']:.2f} %; details in {folder.root / 'val'}")


def _answer_val(out: Path, weights: Weights, split: Split, device: torch.device) -> dict[str, Any]:
    """The metrics of all of val, unless these weights have answered it already."""
    if (out / "provenance.json").is_file() and read_json(out / "provenance.json").get("sha256") == weights.info[
        "sha256"
    ]:
        done: dict[str, Any] = read_json(out / "metrics.json")
        return done
    return evaluate_into(out, weights, split, device=device)


def _data(options: argparse.Namespace, size: int | None) -> Path:
    """The CLEVR directory that was named, or the synthetic set of the training's own."""
    if bool(options.clevr) == bool(options.synthetic):
        raise ConfigError("expected either --clevr DIR or --synthetic TRAIN:VAL:SEED, found both or none of them.")
    if options.clevr:
        return Path(options.clevr)
    numbers = re.fullmatch(r"([1-9]\d*):([1-9]\d*):(\d+)", options.synthetic)
    if not numbers:
        raise ConfigError(f"expected --synthetic TRAIN:VAL:SEED, such as 70000:15000:1, found '{options.synthetic}'.")
    train_scenes, val_scenes, seed = map(int, numbers.groups())
    return synthesize(options.out / "data", train=train_scenes, val=val_scenes, seed=seed, images=size)
