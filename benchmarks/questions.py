"""What the generated questions are like: how fast they are made, and how near they come to CLEVR's.

    python benchmarks/questions.py                        speed, length, words, types, answers: some seconds
    python benchmarks/questions.py --word-counts FILE     words also against those of CLEVR's train questions
    python benchmarks/questions.py --lstm                 also trains the question-only network: some minutes

FILE is JSON with a key "counts": occurrences of each word, ";" and "?" not counted. Everything runs
on one core; scenes have 3 to 10 objects and ten questions each.
"""

import argparse
import json
import random
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from rnlib.clevr.constants import TYPE_GROUPS
from rnlib.clevr.schema import QuestionRecord, Scene
from rnlib.clevr.vocabulary import tokenize
from rnlib.synthesis.families import FAMILIES
from rnlib.synthesis.questions import ask
from rnlib.synthesis.scenes import sample_scene

OBJECTS, VIEW, PER_SCENE = (3, 10), (480, 320), 10

# CLEVR v1.0 val: questions by type, by group where the types are not told apart, and all.
VAL_QUESTIONS = 149_991
VAL_TYPES = {
    "count": 35_422,
    "exist": 20_196,
    "compare numbers": 13_541,
    "query_size": 13_513,
    "query_color": 13_544,
    "query_material": 13_404,
    "query_shape": 13_273,
    "compare attribute": 27_098,
}
MEAN_LENGTH = 18.38  # words of a CLEVR train question


def make_scenes(number: int, seed: int) -> list[Scene]:
    """Fresh scenes of 3 to 10 objects."""
    rng = np.random.default_rng(seed)
    return [sample_scene(rng, OBJECTS, VIEW)[0] for _ in range(number)]


def make_questions(scenes: list[Scene], seed: int) -> list[QuestionRecord]:
    """Ten questions on each scene, of all families."""
    return [
        row for i, scene in enumerate(scenes) for row in ask(random.Random(f"{seed} {i}"), scene, FAMILIES, PER_SCENE)
    ]


def measure(runs: int, scenes: int) -> list[QuestionRecord]:
    """Time several runs over fresh scenes, print the medians, and return all their questions."""
    questions: list[QuestionRecord] = []
    times: list[tuple[float, float]] = []
    for run in range(runs):
        start = time.perf_counter()
        made = make_scenes(scenes, run)
        middle = time.perf_counter()
        questions += make_questions(made, run)
        times.append((middle - start, time.perf_counter() - middle))
    sampling, asking = (statistics.median(column) for column in zip(*times, strict=True))
    print(f"speed, one core, median of {runs} runs over {scenes} fresh scenes")
    line("questions a second", f"{PER_SCENE * scenes / asking:,.0f}", "at least 1,500")
    line("questions a second, scenes included", f"{PER_SCENE * scenes / (sampling + asking):,.0f}", "")
    line("time: scenes / questions", f"{sampling / (sampling + asking):.0%} / {asking / (sampling + asking):.0%}", "")
    return questions


def describe(questions: list[QuestionRecord], word_counts: Path | None) -> None:
    """Print length, words, families, types and answers beside CLEVR's."""
    words = Counter(word for row in questions for word in tokenize(row.question) if word not in ";?")
    print(f"\n{len(questions):,} questions{'':<24}{'here':>12}{'CLEVR':>12}")
    line("words a question", f"{words.total() / len(questions):.2f}", f"{MEAN_LENGTH:.2f}")
    line("different words", str(len(words)), "80")
    if word_counts is None:
        print("  WORD FREQUENCIES NOT COMPARED: give CLEVR's with --word-counts FILE")
    elif not word_counts.is_file():
        print(f"  WORD FREQUENCIES NOT COMPARED: there is no file {word_counts}")
    else:
        counts = json.loads(word_counts.read_text())["counts"]
        total = sum(counts.values())
        distance = sum(abs(words[w] / words.total() - counts.get(w, 0) / total) for w in words.keys() | counts) / 2
        line("total variation distance of words", f"{distance:.4f}", "0")
    line("families", str(len({row.question_family_index for row in questions})), "90")

    kinds = Counter(row.program[-1].name for row in questions)
    print("\nshare of questions, %")
    for name, number in VAL_TYPES.items():
        here = sum(kinds[kind] for kind in TYPE_GROUPS.get(name, (name,)))
        line(name, f"{100 * here / len(questions):.2f}", f"{100 * number / VAL_QUESTIONS:.2f}")

    print("\nquestion-type baseline, % right")
    published = _published("Question-type baseline")
    answers = Counter((row.program[-1].name, row.answer) for row in questions)
    hits = Counter({kind: max(number for (of, _), number in answers.items() if of == kind) for kind in kinds})
    line("overall", f"{100 * sum(hits.values()) / len(questions):.1f}", f"{published['overall']}")
    for group, members in TYPE_GROUPS.items():
        right, asked = sum(hits[kind] for kind in members), sum(kinds[kind] for kind in members)
        line(group, f"{100 * right / asked:.1f}", f"{published[group]}")


def train_lstm(train: int, val: int, epochs: int) -> None:
    """Train the question-only network on fresh scenes, and print its accuracy on others beside the published one."""
    import torch

    from rnlib.clevr.split import open_split
    from rnlib.clevr.vocabulary import clevr_v1
    from rnlib.evaluation.metrics import compute_metrics
    from rnlib.evaluation.predict import predict
    from rnlib.model.checkpoint import load_weights
    from rnlib.model.preset import load_preset
    from rnlib.synthesis.generate import synthesize
    from rnlib.training import Options
    from rnlib.training import train as train_network
    from rnlib.training.recipe import Recipe

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        clevr = synthesize(Path(folder) / "set", train=train, val=val, images=None, workers=1, verbose=False)
        splits = [
            open_split(clevr, name, images=None, cache=Path(folder) / "cache", verbose=False)
            for name in ("train", "val")
        ]
        preset = load_preset("question-only")
        recipe = Recipe(epochs=epochs, lr=1e-3, lr_gamma=1.0, batch_size=256, weight_decay=1e-5)
        start = time.perf_counter()
        run = train_network(preset, recipe, splits, Path(folder) / "run", Options(vocabulary=clevr_v1(), verbose=False))
        seconds = time.perf_counter() - start
        metrics = compute_metrics(predict(load_weights(run.weights("best")), splits[1], verbose=False))
    print(f"\nquestion-only LSTM, {train:,} scenes, {epochs} epochs in {seconds:.0f} s, on {val:,} others: % right")
    published = _published("LSTM (question only)")
    line("overall", f"{100 * metrics['accuracy']:.1f}", f"{published['overall']}")
    for group, entry in metrics["by_group"].items():
        line(group, f"{100 * entry['accuracy']:.1f}", f"{published[group]}")


def line(name: str, here: str, there: str) -> None:
    """Print a line of the table."""
    print(f"  {name:<36}{here:>12}{there:>12}" if len(there) < 10 else f"  {name:<36}{here:>12}  ({there})")


def _published(model: str) -> dict[str, Any]:
    from rnlib.evaluation.tables import published

    table = published()
    return table[table["model"] == model].iloc[0].to_dict()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="timed runs (5)")
    parser.add_argument("--scenes", type=int, default=400, help="scenes of each run (400)")
    parser.add_argument("--word-counts", type=Path, help="JSON with the word counts of CLEVR's train questions")
    parser.add_argument("--lstm", action="store_true", help="also train the question-only network")
    parser.add_argument("--lstm-scenes", type=int, nargs=2, default=(7000, 1500), metavar=("TRAIN", "VAL"))
    parser.add_argument("--epochs", type=int, default=8, help="of the question-only network (8)")
    options = parser.parse_args()
    describe(measure(options.runs, options.scenes), options.word_counts)
    if options.lstm:
        train_lstm(*options.lstm_scenes, options.epochs)


if __name__ == "__main__":
    main()
