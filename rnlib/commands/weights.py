"""`rnlib evaluate`, `predict`, `release` and `import-weights`."""

import argparse
from pathlib import Path
from typing import Any

from rnlib.clevr.constants import SPLITS
from rnlib.clevr.split import Split, open_split
from rnlib.commands.options import add_clevr, add_device
from rnlib.errors import ConfigError
from rnlib.evaluation import metrics_text, predict, save_answers
from rnlib.evaluation.folder import evaluate_into
from rnlib.evaluation.predictions import require_batch_size
from rnlib.evaluation.release import release
from rnlib.model.checkpoint import Weights, import_mesnico_weights, load_weights
from rnlib.model.inputs import choose_device
from rnlib.model.precision import choose_precision
from rnlib.model.pretrained import released, shipped_folder


def add_commands(commands: Any) -> None:
    """Add the commands that take weights."""
    evaluate = commands.add_parser("evaluate", help="accuracy by type, group and answer class; RUN/metrics.json")
    _add_weights(evaluate, "val")
    evaluate.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder for metrics and predictions")
    evaluate.set_defaults(run=_evaluate)

    answers = commands.add_parser("predict", help="write one answer a line, also for a split without answers")
    _add_weights(answers, "test")
    answers.add_argument("--out", type=Path, required=True, metavar="FILE", help="text file, one answer a line")
    answers.set_defaults(run=_predict)

    publish = commands.add_parser(
        "release", help="make a training's best weights a release: weights, learning curve and model card"
    )
    publish.add_argument("training", type=Path, metavar="RUN", help="folder of the training")
    publish.add_argument("--name", required=True, help="of the release")
    publish.add_argument("--trained-on", required=True, metavar="SET", help="such as 'synthetic CLEVR', for plots")
    publish.add_argument(
        "--evaluation",
        nargs="+",
        default=[],
        metavar="WHAT=DIR",
        help="folders of `evaluate` by what was asked, such as 'synthetic val=RUN/val'",
    )
    publish.add_argument("--about", default="", metavar="TEXT", help="data, machine and limits, for the card")
    publish.add_argument("--out", type=Path, default=shipped_folder(), metavar="DIR", help="default: weights/")
    publish.set_defaults(run=_release)

    convert = commands.add_parser("import-weights", help="turn a .pth file of the seed into .safetensors and .json")
    convert.add_argument("source", type=Path, metavar="PTH", help="the seed's file, such as ir_fp_epoch_312.pth")
    convert.add_argument("--out", type=Path, required=True, metavar="FILE", help="NAME.safetensors")
    convert.set_defaults(run=_import_weights)


def _add_weights(parser: argparse.ArgumentParser, split: str) -> None:
    parser.add_argument(
        "--weights",
        type=Path,
        required=True,
        metavar="FILE",
        help=f".safetensors, the seed's .pth, or one of {', '.join(released())}",
    )
    add_clevr(parser)
    parser.add_argument("--split", choices=SPLITS, default=split, help=f"default {split}")
    parser.add_argument("--batch-size", type=int, default=256, metavar="N", help="questions at once (default 256)")
    add_device(parser)
    parser.add_argument(
        "--precision", default="fp32", help="of the products: fp32 (default), bf16, or auto (what is faster here)"
    )


def _open(options: argparse.Namespace) -> tuple[Weights, Split]:
    require_batch_size(options.batch_size)
    weights = load_weights(options.weights)
    weights.network.set_precision(choose_precision(options.precision, choose_device(options.device)))
    size = weights.preset.picture_size
    return weights, open_split(options.clevr, options.split, images=size, cache=options.cache)


def _evaluate(options: argparse.Namespace) -> None:
    weights, split = _open(options)
    metrics = evaluate_into(
        options.out, weights, split, device=choose_device(options.device), batch_size=options.batch_size
    )
    print(metrics_text(metrics))
    print(f"accuracy {100 * metrics['accuracy']:.2f} % of {metrics['n']:,} questions; details in {options.out}")


def _predict(options: argparse.Namespace) -> None:
    weights, split = _open(options)
    table = predict(weights, split, device=choose_device(options.device), batch_size=options.batch_size)
    save_answers(table, options.out)
    print(f"{len(table):,} answers in {options.out}")


def _release(options: argparse.Namespace) -> None:
    evaluations = {}
    for pair in options.evaluation:
        what, equals, place = pair.partition("=")
        if not (what and equals and place):
            raise ConfigError(f"expected --evaluation WHAT=DIR, found '{pair}'.")
        evaluations[what] = Path(place)
    target = release(options.training, options.name, options.out, options.trained_on, evaluations, options.about)
    print(f"released {target} with its .json, .csv and .md")


def _import_weights(options: argparse.Namespace) -> None:
    weights = import_mesnico_weights(options.source, options.out)
    print(f"{weights.info['provenance']['note']}\npreset {weights.preset.name}; written to {options.out}")
