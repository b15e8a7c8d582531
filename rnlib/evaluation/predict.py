"""A network's answers to all questions of a split: a table with one row per question, and the folder of an evaluation.

The folder has metrics.json, predictions.parquet and provenance.json.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from jaxtyping import Float
from pandas.api.types import is_bool_dtype, is_float_dtype, is_string_dtype

from rnlib.clevr.constants import CLASS_OF_ANSWER, GROUP_OF_TYPE, QUESTION_TYPES
from rnlib.clevr.split import Split
from rnlib.distributed import ALONE, Workers
from rnlib.errors import ConfigError, DataError, WeightsError, reason
from rnlib.evaluation.consistency import consistency
from rnlib.evaluation.metrics import compute_metrics
from rnlib.files import atomic_write, open_input, remove_leftovers, sole_user, write_json
from rnlib.model.checkpoint import Weights
from rnlib.model.inputs import NetworkInputs
from rnlib.model.network import RelationNetwork
from rnlib.progress import progress
from rnlib.provenance import provenance

TOP = 5
MEASURED = {  # the columns that accuracies, calibration and confusions are made from, and what is in them
    **dict.fromkeys(("correct", "invalid"), is_bool_dtype),
    **dict.fromkeys(("probability", "loss"), is_float_dtype),
    **dict.fromkeys(("type", "group", "answer_class", "truth", "answer"), is_string_dtype),
}


def log_probabilities(
    network: RelationNetwork, inputs: NetworkInputs, batch_size: int = 256, workers: Workers = ALONE
) -> Iterator[tuple[np.ndarray, Float[np.ndarray, "batch answers"]]]:
    """(question numbers, log-probabilities) a batch, questions on one picture together.

    What does not depend on the question is computed once a picture for all its questions in a batch. Of several
    workers each answers a part of the batches.
    The network's mode is left as it was found.
    """
    order = np.argsort(inputs.split.image_of_question, kind="stable")
    training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            for start in range(workers.rank * batch_size, len(order), workers.count * batch_size):
                questions = order[start : start + batch_size]
                pictures, which = np.unique(inputs.split.image_of_question[questions], return_inverse=True)
                objects, scene = network.objects(inputs.visual(pictures)), torch.from_numpy(which).to(inputs.device)
                answers = network.answer_from_objects(objects, inputs.question(questions), scene)
                yield questions, answers.float().cpu().numpy()
    finally:
        network.train(training)


def predict(
    weights: Weights,
    split: Split,
    *,
    device: torch.device | str = "cpu",
    batch_size: int = 256,
    verbose: bool = True,
    workers: Workers = ALONE,
) -> pd.DataFrame:
    """The table of predictions, a row a question in the split's order.

    Columns: question_index (its number in the file, from 0), image_index, family, type, group,
    answer_class (of the truth), truth, answer, probability (of the answer), loss (-log probability of
    the truth), brier (the sum over all answers of (probability - truth)², 0 to 2), correct, invalid
    (answer of another class than the truth's), top_answers, top_probabilities (the five best). Truth,
    loss, brier, correct and invalid are missing in a split without answers.
    Raises ConfigError for a batch size below 1, and for words that the weights do not know.
    """
    require_batch_size(batch_size)
    network = weights.network.to(device)
    inputs = NetworkInputs.of(split, weights.preset, weights.vocabulary, device)
    log_probability = np.zeros((split.n_questions, len(weights.vocabulary.answers)), np.float32)
    batches = (split.n_questions + batch_size - 1) // batch_size // workers.count
    what = f"answering {split.n_questions:,} questions of {split.label}"
    answers = log_probabilities(network, inputs, batch_size, workers)
    for questions, values in progress(answers, batches, what, verbose, "batches"):
        log_probability[questions] = values
    if workers.count > 1:
        everything = torch.from_numpy(log_probability).to(device)
        workers.add_up(everything)
        log_probability = everything.cpu().numpy()
    return predictions_table(log_probability, split, weights, inputs.answers)


def predictions_table(
    log_probability: Float[np.ndarray, "questions answers"], split: Split, weights: Weights, truths: np.ndarray
) -> pd.DataFrame:
    """The table `predict` returns, from log-probabilities and the truths' numbers (from 1, 0 = none)."""
    if np.isnan(log_probability).any():
        raise WeightsError(
            f"expected answers from {weights.name or 'the network'}, found probabilities of NaN: its "
            "weights are too large, the training diverged. Take other weights."
        )
    names = np.array(weights.vocabulary.answers)
    classes = np.array([CLASS_OF_ANSWER.get(name, "") for name in names])
    best = np.argsort(-log_probability, axis=1, kind="stable")[:, :TOP]
    rows = np.arange(len(best))
    types = np.array([*QUESTION_TYPES, ""])[np.minimum(split.types, len(QUESTION_TYPES))]
    groups = np.array([*(GROUP_OF_TYPE[name] for name in QUESTION_TYPES), ""])
    table = pd.DataFrame(
        {
            "question_index": split.question_numbers,
            "image_index": np.array(split.image_indices)[split.image_of_question],
            "family": split.families,
            "type": types,
            "group": groups[np.minimum(split.types, len(QUESTION_TYPES))],
            "answer": names[best[:, 0]],
            "probability": np.exp(log_probability[rows, best[:, 0]]),
        }
    )
    if split.has_answers:
        truth = truths.astype(np.int64) - 1
        table["truth"] = names[truth]
        table["answer_class"] = classes[truth]
        probability = np.exp(log_probability)
        table["loss"] = -log_probability[rows, truth]
        table["brier"] = (probability**2).sum(axis=1) - 2 * probability[rows, truth] + 1
        table["correct"] = best[:, 0] == truth
        table["invalid"] = classes[best[:, 0]] != classes[truth]
    table["top_answers"] = list(names[best])
    table["top_probabilities"] = list(np.exp(np.take_along_axis(log_probability, best, 1)))
    return table


def require_batch_size(batch_size: int) -> None:
    """Raise ConfigError for a batch size below 1."""
    if batch_size < 1:
        raise ConfigError(f"expected a batch size of at least 1 question, found {batch_size}.")


def require_answers(split: Split) -> None:
    """Raise DataError for a split without answers, which cannot be evaluated."""
    if not split.has_answers:
        raise DataError(
            f"the split '{split.name}' of {split.directory.root} has no answers, so it cannot be evaluated "
            "(CLEVR's test answers are not public). Use 'rnlib predict --split test --out FILE' instead."
        )


def save_predictions(table: pd.DataFrame, path: Path | str) -> None:
    """Write the table as parquet, atomically."""
    with atomic_write(path) as file:
        table.to_parquet(file, index=False)


def read_predictions(path: Path) -> pd.DataFrame:
    """What `save_predictions` wrote: MEASURED of the columns, where there are truths, else none of them.

    Raises DataError for a file that is no such table.
    """
    with open_input(path) as file:
        try:
            found = pq.read_table(file, columns=list(MEASURED)).to_pandas(ignore_metadata=True)
        except (pa.ArrowException, OSError, MemoryError, ValueError, TypeError, OverflowError) as error:
            raise DataError(f"{path} is no table of predictions ({reason(error)}). Evaluate again.") from None
    if "correct" not in found:
        return found[[]]
    wrong = [name for name, fits in MEASURED.items() if name not in found or not fits(found[name])]
    if wrong or not len(found) or not found["probability"].between(0, 1).all():
        raise DataError(
            f"{path} is no table of predictions: expected one row per question, with {', '.join(MEASURED)}; found "
            f"{len(found)} rows{', and none or others in ' + ', '.join(wrong) if wrong else ''}. Evaluate again."
        )
    return found


def save_answers(table: pd.DataFrame, path: Path | str, questions: int | None = None) -> None:
    """Write one answer a line in the order of the question file, as CLEVR's test server took them.

    questions: how many the file has; the line of one that the table lacks is empty. None: those of the table.
    """
    remove_leftovers(Path(path))
    answers = table.set_index("question_index")["answer"]
    if questions is not None:
        answers = answers.reindex(range(questions), fill_value="")
    with atomic_write(path, "w") as file:
        file.writelines(f"{answer}\n" for answer in answers)


def evaluate_into(
    out: Path, weights: Weights, split: Split, *, device: torch.device | str = "cpu", batch_size: int = 256
) -> dict[str, Any]:
    """Answer all questions of a split with weights and write the folder `out`; returns the metrics.

    Of minimal pairs they have an entry "consistency" (`rnlib.evaluation.consistency`) for each change.

    Raises DataError for a split without answers, and as `predict`, before anything is written.
    """
    require_answers(split)
    NetworkInputs.of(split, weights.preset, weights.vocabulary)  # what does not fit must show before a folder is made
    with sole_user(out, "evaluation"):
        table = predict(weights, split, device=device, batch_size=batch_size)
        metrics = compute_metrics(table)
        if (pairs := consistency(table, split)) is not None:
            metrics["consistency"] = pairs.to_dict("index")
        origin = provenance(
            weights=weights.name,
            sha256=weights.info.get("sha256"),
            precision=weights.network.precision,
            split=split.label,
            data=split.fingerprint,
        )
        save_predictions(table, out / "predictions.parquet")
        write_json(out / "metrics.json", metrics)
        write_json(out / "provenance.json", origin)
    return metrics
