"""`rnlib evaluate`, `predict`, `release` and `import-weights`."""

import argparse
from pathlib import Path

from rnlib.clevr.split import Split
from rnlib.commands.options import require_other, split_of
from rnlib.errors import ConfigError
from rnlib.evaluation import metrics_text, predict, save_answers
from rnlib.evaluation.consistency import consistency_text
from rnlib.evaluation.model_set import open_questions
from rnlib.evaluation.predict import evaluate_into, require_batch_size
from rnlib.model.asking import answer
from rnlib.model.checkpoint import Weights, import_mesnico_weights, load_weights
from rnlib.model.inputs import choose_device
from rnlib.model.precision import choose_precision
from rnlib.training.release import release


def _open(options: argparse.Namespace) -> tuple[Weights, Split]:
    require_batch_size(options.batch_size)
    device, weights = choose_device(options.device), load_weights(options.weights)
    parameters = weights.network.parameter_count()
    print(f"{weights.name}: preset {weights.preset.name}, {parameters:,} parameters, on {device}", flush=True)
    weights.network.set_precision(choose_precision(options.precision, device))
    split = open_questions(
        {weights.name: weights},
        options.clevr,
        split_of(options),
        unknown_words=options.unknown_words,
        cache=options.cache,
    )
    return weights, split


def run_evaluate(options: argparse.Namespace) -> None:
    """`evaluate`."""
    weights, split = _open(options)
    metrics = evaluate_into(
        options.out, weights, split, device=choose_device(options.device), batch_size=options.batch_size
    )
    print(metrics_text(metrics))
    if "consistency" in metrics:
        print(f"minimal pairs, in percent:\n{consistency_text(metrics['consistency'])}")
    asked = f"{metrics['n']:,} questions of {split.label}"
    print(f"accuracy {100 * metrics['accuracy']:.2f} % of {asked}; details in {options.out}")


def run_predict(options: argparse.Namespace) -> None:
    """`predict`."""
    weights, split = _open(options)
    require_other(options.out, options.weights, *split.directory.signed_files(split.name))
    table = predict(weights, split, device=choose_device(options.device), batch_size=options.batch_size)
    save_answers(table, options.out, split.n_questions + split.left_out)
    empty = f"; the lines of questions left out ({split.left_out:,}) are empty" if split.left_out else ""
    print(f"{len(table):,} answers in {options.out}{empty}")


def run_ask(options: argparse.Namespace) -> None:
    """`ask`."""
    device, weights = choose_device(options.device), load_weights(options.weights)
    if options.scene and weights.preset.picture_size:
        raise ConfigError(f"{weights.name} reads the picture and would not look at --scene. Leave it out.")
    for picture in options.pictures:
        reply = answer(weights, picture, options.question, scene=options.scene, device=device)
        if len(options.pictures) > 1:
            print(f"{100 * reply.probability:5.1f} %  {reply.answer:<8} {picture}")
            continue
        print(reply.answer)
        for text, probability in reply.top:
            print(f"  {100 * probability:5.1f} %  {text}")


def run_release(options: argparse.Namespace) -> None:
    """`release`."""
    evaluations = {}
    for pair in options.evaluation:
        what, equals, place = pair.partition("=")
        if not (what and equals and place):
            raise ConfigError(f"expected --evaluation WHAT=DIR, found '{pair}'.")
        evaluations[what] = Path(place)
    target = release(options.training, options.name, options.out, options.trained_on, evaluations, options.about)
    print(f"released {target} with its .json, .csv and .md")


def run_import_weights(options: argparse.Namespace) -> None:
    """`import-weights`."""
    weights = import_mesnico_weights(options.source, options.out)
    print(f"{weights.info['provenance']['note']}\npreset {weights.preset.name}; written to {options.out}")
