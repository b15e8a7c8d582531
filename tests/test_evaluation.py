"""Predictions, the figures made of them, and how they stand beside the published ones."""

import math
import shutil
from collections import Counter
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score

from rnlib.clevr.constants import ANSWER_CLASSES, CLASS_OF_ANSWER, OFFICIAL_COUNTS, QUESTION_TYPES, TYPE_GROUPS
from rnlib.clevr.split import Split, open_split
from rnlib.clevr.vocabulary import Vocabulary, clevr_v1
from rnlib.errors import ConfigError, DataError, WeightsError
from rnlib.evaluation import (
    central_comparison,
    compare_types,
    comparison_table,
    complete_table,
    compute_metrics,
    metrics_text,
    predict,
    published,
    question_type_baseline,
    require_answers,
    results_row,
    save_answers,
    save_predictions,
    training_split,
)
from rnlib.evaluation.breakdowns import question_traits
from rnlib.evaluation.error_analysis import in_common, weak_kinds, weakest_types
from rnlib.evaluation.examples import answer_of, outcomes
from rnlib.evaluation.metrics import ALL, BASELINE
from rnlib.evaluation.model_set import comparability, image_size, load_named, models_table
from rnlib.evaluation.plots.accuracy import plot_by_type, plot_classes
from rnlib.evaluation.plots.comparison import plot_published
from rnlib.evaluation.plots.examples import plot_gallery
from rnlib.evaluation.statistics import wilson
from rnlib.evaluation.tables import accuracy_table
from rnlib.model import RelationNetwork, Weights, load_preset, load_weights, save_weights
from rnlib.model.inputs import translate_answers, translate_tokens

SMALL = {"g_layers": [8, 8, 8], "f_layers": [8, 8], "lstm_hidden": 8}
METRICS_KEYS = {"accuracy", "loss", "n", "invalid", "by_type", "by_group", "by_answer_class"}


@pytest.fixture(scope="module")
def split(tiny_clevr: Path) -> Split:
    return open_split(tiny_clevr, "val", images=None, verbose=False)


@pytest.fixture(scope="module")
def weights() -> Weights:
    torch.manual_seed(0)
    preset = load_preset("ir-sd", SMALL)
    return Weights(RelationNetwork(preset, clevr_v1()).eval(), preset, clevr_v1(), name="small")


@pytest.fixture(scope="module")
def predictions(weights: Weights, split: Split) -> pd.DataFrame:
    return predict(weights, split, verbose=False)


def made_up(n: int = 400) -> pd.DataFrame:
    """Predictions of nobody: about half of them right."""
    rng = np.random.default_rng(0)
    types = rng.choice([name for name in QUESTION_TYPES if name != "equal_size"], n)
    group = {kind: group for group, kinds in TYPE_GROUPS.items() for kind in kinds}
    truth = rng.choice(list(CLASS_OF_ANSWER), n)
    answer = np.where(rng.random(n) < 0.4, truth, rng.choice(list(CLASS_OF_ANSWER), n))
    classes = pd.Series(truth).map(CLASS_OF_ANSWER)
    return pd.DataFrame(
        {
            "type": types,
            "group": [group[kind] for kind in types],
            "answer_class": classes,
            "truth": truth,
            "answer": answer,
            "loss": rng.random(n),
            "correct": answer == truth,
            "invalid": pd.Series(answer).map(CLASS_OF_ANSWER) != classes,
        }
    )


# Predictions


def test_the_table_has_a_row_a_question_in_the_files_order(predictions: pd.DataFrame, split: Split) -> None:
    assert set(predictions.columns) == {
        *("question_index", "image_index", "family", "type", "group", "answer_class", "truth", "answer"),
        *("probability", "loss", "brier", "correct", "invalid", "top_answers", "top_probabilities"),
    }
    assert predictions["question_index"].tolist() == list(range(split.n_questions))
    assert predictions["truth"].tolist() == [split.answer_text(number) for number in range(split.n_questions)]
    assert predictions["type"].tolist() == [split.type_name(number) for number in range(split.n_questions)]
    assert set(predictions["type"]) <= set(QUESTION_TYPES)


def test_a_row_says_what_the_network_says(predictions: pd.DataFrame, weights: Weights, split: Split) -> None:
    from rnlib.model import state_rows

    rows = state_rows(weights.preset, np.array(split.coordinates), np.array(split.codes))
    for number in (0, 7, split.n_questions - 1):
        row = predictions.iloc[number]
        tokens = torch.tensor([weights.vocabulary.encode(split.question_text(number))])
        with torch.no_grad():
            logs = weights.network(rows[[int(split.image_of_question[number])]], tokens)[0]
        best = logs.argsort(descending=True)[:5]
        assert list(row["top_answers"]) == [weights.vocabulary.answers[unit] for unit in best]
        np.testing.assert_allclose(row["top_probabilities"], logs[best].exp(), rtol=1e-4)
        assert row["answer"] == row["top_answers"][0]
        truth = weights.vocabulary.number_of_answer[row["truth"]] - 1
        assert row["loss"] == pytest.approx(-float(logs[truth]), rel=1e-4)
        assert row["correct"] == (row["answer"] == row["truth"])
        assert row["invalid"] == (CLASS_OF_ANSWER[row["answer"]] != CLASS_OF_ANSWER[row["truth"]])


def test_the_batch_size_changes_nothing(predictions: pd.DataFrame, weights: Weights, split: Split) -> None:
    again = predict(weights, split, batch_size=7, verbose=False)
    assert again["answer"].tolist() == predictions["answer"].tolist()
    np.testing.assert_allclose(again["loss"], predictions["loss"], rtol=1e-4)


def test_predictions_survive_the_disk(predictions: pd.DataFrame, tmp_path: Path) -> None:
    save_predictions(predictions, tmp_path / "predictions.parquet")
    again = pd.read_parquet(tmp_path / "predictions.parquet")
    pd.testing.assert_frame_equal(again.drop(columns="top_answers"), predictions.drop(columns="top_answers"))
    assert [list(row) for row in again["top_answers"]] == [list(row) for row in predictions["top_answers"]]


def test_a_split_without_answers_is_predicted_but_not_evaluated(tiny_clevr: Path, tmp_path: Path) -> None:
    test = open_split(tiny_clevr, "test", images=None, verbose=False)
    with pytest.raises(DataError, match=r"no answers.*rnlib predict"):
        require_answers(test)
    preset = load_preset("question-only", {"f_layers": [8, 8]})
    table = predict(Weights(RelationNetwork(preset, clevr_v1()).eval(), preset, clevr_v1()), test, verbose=False)
    assert "correct" not in table
    save_answers(table, tmp_path / "answers.txt")
    lines = (tmp_path / "answers.txt").read_text().splitlines()
    assert len(lines) == test.n_questions
    assert set(lines) <= set(clevr_v1().answers)


def test_what_the_vocabulary_lacks_is_named(split: Split) -> None:
    words, answers = clevr_v1().words, clevr_v1().answers
    used = split.vocabulary.words[3]
    with pytest.raises(ConfigError, match=f"unknown word '{used}'.*nearest known|unknown word '{used}'.*no known word"):
        translate_tokens(split, Vocabulary(tuple(word for word in words if word != used), answers))
    with pytest.raises(ConfigError, match=r"has the answer 'yes', which is not among the 27 answers"):
        translate_answers(split, Vocabulary(words, tuple(answer for answer in answers if answer != "yes")))


# Metrics


def test_metrics_equal_a_plain_loop() -> None:
    table = made_up()
    metrics = compute_metrics(table)
    assert set(metrics) == METRICS_KEYS
    rows = table.to_dict("records")
    assert metrics["n"] == len(rows)
    assert metrics["accuracy"] == pytest.approx(accuracy_score(table["truth"], table["answer"]))
    assert metrics["loss"] == pytest.approx(math.fsum(row["loss"] for row in rows) / len(rows))
    for key, column, names in (
        ("by_type", "type", QUESTION_TYPES),
        ("by_group", "group", TYPE_GROUPS),
        ("by_answer_class", "answer_class", ANSWER_CLASSES),
    ):
        assert list(metrics[key]) == [name for name in names if name != "equal_size"]
        for name, entry in metrics[key].items():
            own = [row for row in rows if row[column] == name]
            right = sum(row["truth"] == row["answer"] for row in own)
            assert entry["n"] == len(own)
            assert entry["accuracy"] == pytest.approx(right / len(own))
            if key == "by_answer_class":
                invalid = sum(row["answer"] not in ANSWER_CLASSES[name] for row in own)
                assert entry["invalid"] == pytest.approx(invalid / len(own))


def test_the_text_for_a_terminal_has_a_line_an_entry() -> None:
    metrics = compute_metrics(made_up())
    text = metrics_text(metrics)
    assert f"{100 * metrics['accuracy']:.2f}" in text
    assert all(name in text for key in ("by_type", "by_group", "by_answer_class") for name in metrics[key])


@given(
    st.integers(1, 200_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    st.sampled_from([0.5, 0.95, 0.99]),
)
def test_wilsons_interval_is_scipys(case: tuple[int, int], confidence: float) -> None:
    hits, n = case
    expected = binomtest(hits, n).proportion_ci(confidence, method="wilson")
    assert wilson(hits, n, confidence) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize(("hits", "n", "confidence"), [(3, 2, 0.95), (-1, 2, 0.95), (0, 0, 0.95), (1, 2, 1.0)])
def test_no_interval_of_nothing(hits: int, n: int, confidence: float) -> None:
    with pytest.raises(ValueError, match="expected 0 <= hits <= n"):
        wilson(hits, n, confidence)


# The published figures


def test_the_published_table_is_complete() -> None:
    table = published()
    assert list(table.columns) == ["model", "split", "overall", *TYPE_GROUPS, "source"]
    assert len(table) == 14
    assert table["overall"].between(40, 100).all()
    assert table[["model", "split", "source"]].notna().all(axis=None)
    paper = table.set_index("model").loc["RN from pixels, paper"]
    assert paper[["split", "overall", *TYPE_GROUPS]].tolist() == ["test", 95.5, 90.1, 97.8, 93.6, 97.9, 97.1]


def test_the_central_comparison_is_of_the_measured_set() -> None:
    """The relation networks first; each other row's groups give its whole (their questions are those of the set)."""
    metrics = load_weights("detect-fp").info["metrics"]["synthetic val"]
    table = central_comparison({"detect-fp": metrics})
    assert table["model"].tolist() == [
        "detect-fp",
        "same trunk without relations",
        "question-only network",
        "question-type baseline",
    ]
    assert (table["questions"] == 150_000).all() and table["source"].notna().all()
    sizes = np.array([metrics["by_group"][group]["n"] for group in TYPE_GROUPS])
    for row in table.to_dict("records"):
        assert row["overall"] == pytest.approx(
            np.average([row[group] for group in TYPE_GROUPS], weights=sizes), abs=0.1
        )


def test_our_rows_stand_above_the_published_ones() -> None:
    metrics = compute_metrics(made_up())
    table = comparison_table([results_row("ours", "val", metrics)])
    assert len(table) == 15
    ours = table.iloc[0]
    assert (ours["model"], ours["split"], ours["source"]) == ("ours", "val", "this run")
    assert ours["overall"] == round(100 * metrics["accuracy"], 1)
    assert ours["count"] == round(100 * metrics["by_group"]["count"]["accuracy"], 1)


# Several models


def saved(path: Path, weights: Weights, **provenance: object) -> Path:
    return save_weights(path, weights.network, weights.vocabulary, provenance=provenance)


def test_weights_are_named_after_their_training_or_their_file(weights: Weights, tmp_path: Path) -> None:
    paths = [
        saved(tmp_path / "state-0a1b2c3d" / "weights" / "best.safetensors", weights),
        saved(tmp_path / "weights" / "other.safetensors", weights),  # a folder of this name, but no training
        saved(tmp_path / "mine.safetensors", weights),
        saved(tmp_path / "other" / "mine.safetensors", weights),
    ]
    (tmp_path / "state-0a1b2c3d" / "run.json").write_text("{}")
    assert list(load_named(paths)) == ["state", "other", "mine", "mine-2"]
    with pytest.raises(WeightsError, match="no such file"):
        load_named([tmp_path / "nothing.safetensors"])
    with pytest.raises(ConfigError, match="at least one weights file"):
        load_named([])


def test_weights_say_where_they_come_from(weights: Weights, split: Split, tmp_path: Path) -> None:
    here = saved(tmp_path / "here.safetensors", weights, epoch=3, data={"val": split.fingerprint})
    learnt = saved(tmp_path / "learnt.safetensors", weights, epoch=3, data={"train": split.fingerprint})
    there = saved(tmp_path / "there.safetensors", weights, epoch=4, data={"val": "0123"})
    unknown = saved(tmp_path / "unknown.safetensors", weights)
    table = models_table(load_named([here, learnt, there, unknown]), split)
    assert table["trained on"].tolist() == ["this set", "these questions", "another set", "not recorded"]
    assert table["epoch"].tolist() == ["3", "3", "4", "not recorded"]
    assert table["parameters"].tolist() == [weights.network.parameter_count()] * 4
    assert table["reads"].tolist() == ["state description"] * 4


def test_models_must_read_pictures_of_one_size(weights: Weights) -> None:
    def pixels(size: int) -> Weights:
        preset = load_preset("ir-fp", {**SMALL, "image_size": size})
        return Weights(RelationNetwork(preset, clevr_v1()), preset, clevr_v1())

    assert image_size({"state": weights}) is None
    assert image_size({"state": weights, "pixels": pixels(32)}) == 32
    with pytest.raises(WeightsError, match=r"\[32, 64\] pixels"):
        image_size({"one": pixels(32), "other": pixels(64)})


def test_accuracies_of_several_models_have_intervals() -> None:
    first, second = compute_metrics(made_up(400)), compute_metrics(made_up(100))
    table = accuracy_table({"first": first, "second": second})
    for model, metrics in (("first", first), ("second", second)):
        rows = table[table["model"] == model].set_index(["by", "name"])
        assert rows.loc[("overall", ALL), "accuracy"] == pytest.approx(100 * metrics["accuracy"])
        for name, entry in metrics["by_type"].items():
            row = rows.loc[("type", name)]
            low, high = wilson(round(entry["n"] * entry["accuracy"]), entry["n"])
            assert (row["questions"], row["low"], row["high"]) == (entry["n"], 100 * low, 100 * high)


def test_the_complete_table_has_every_group_and_type_for_every_model() -> None:
    metrics = {"first": compute_metrics(made_up(400)), "second": compute_metrics(made_up(100))}
    accuracies = accuracy_table(metrics)
    table = complete_table(accuracies)
    assert list(table.columns) == ["questions", "first", "second"]
    types = [name for name in QUESTION_TYPES if name != "equal_size"]
    assert list(table.index) == [
        ("overall", ALL),
        *(("group", name) for name in TYPE_GROUPS),
        *(("type", name) for name in types),
        ("overall", "invalid"),
    ]
    entry = metrics["second"]["by_type"]["exist"]
    low, high = (100 * bound for bound in wilson(round(entry["n"] * entry["accuracy"]), entry["n"]))
    assert table.loc[("type", "exist"), "second"] == f"{100 * entry['accuracy']:.1f} [{low:.1f}, {high:.1f}]"
    assert table.loc[("overall", "invalid"), "first"] == f"{100 * metrics['first']['invalid']:.1f}"


def test_the_published_figure_marks_every_published_number_and_ours() -> None:
    accuracies = accuracy_table({"ours": compute_metrics(made_up())})
    figure = plot_published(accuracies, published(), "val, another set", "beside one another")
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels[0] == "ours (val, another set)" and "RN from pixels, paper (test)" in labels and len(labels) == 15
    marks = [line.get_xydata() for line in figure.axes[1].lines]
    numbers = np.concatenate([points[:, 0] for points in marks if len(points) == len(labels)])  # a place for each row
    assert set(published()["count"].dropna()) <= set(numbers.tolist())
    ours = accuracies[accuracies["name"] == "count"].iloc[0]
    assert {ours["accuracy"]} <= set(numbers.tolist())
    ends = [tuple(points[3:5, 0]) for points in marks if len(points) == 8]  # an interval between its caps
    assert pytest.approx((ours["low"], ours["high"])) in ends


def test_only_clevrs_own_questions_are_called_comparable(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    assert comparability(split).startswith("NOT COMPARABLE")
    monkeypatch.setitem(OFFICIAL_COUNTS, "val", (split.n_images, split.n_questions))
    assert "comparable with its published figures" in comparability(split)


def test_the_baseline_gives_the_most_frequent_training_answer_of_the_type(tiny_clevr: Path, split: Split) -> None:
    train = open_split(tiny_clevr, "train", images=None, verbose=False)
    seen = Counter((train.type_name(number), train.answer_text(number)) for number in range(train.n_questions))
    table, right = question_type_baseline(train, split), []
    for number in range(split.n_questions):
        kind = split.type_name(number)
        assert seen[kind, table.loc[kind, "answer"]] == max(count for (of, _), count in seen.items() if of == kind)
        right.append((kind, table.loc[kind, "answer"] == split.answer_text(number)))
    for kind in {kind for kind, _ in right}:
        assert table.loc[kind, "accuracy"] == pytest.approx(100 * np.mean([hit for of, hit in right if of == kind]))
    assert table.index[-1] == ALL and table.loc[ALL, "questions"] == split.n_questions
    assert table.loc[ALL, "accuracy"] == pytest.approx(100 * np.mean([hit for _, hit in right]))
    assert training_split(split).fingerprint == train.fingerprint
    compared = compare_types({"net": compute_metrics(made_up())}, table)
    assert list(compared.columns) == ["questions", BASELINE, "net"]
    assert list(compared.index) == list(table.index)


def test_without_a_training_split_the_baseline_counts_the_split_itself(tiny_clevr: Path, tmp_path: Path) -> None:
    for name in ("scenes/CLEVR_val_scenes.json", "questions/CLEVR_val_questions.json"):
        (tmp_path / name).parent.mkdir()
        shutil.copy(tiny_clevr / name, tmp_path / name)
    alone = open_split(tmp_path, "val", images=None, cache=tmp_path / "cache", verbose=False)
    assert training_split(alone) is alone
    (tmp_path / "images" / "train").mkdir(parents=True)  # pictures without questions do not make a training split
    shutil.copy(
        next((tiny_clevr / "images" / "val").iterdir()), tmp_path / "images" / "train" / "CLEVR_train_000000.png"
    )
    half = open_split(tmp_path, "val", images=None, cache=tmp_path / "cache", verbose=False)
    assert half.directory.splits() == ["train", "val"] and training_split(half) is half
    for name in ("scenes/CLEVR_val_scenes.json", "questions/CLEVR_val_questions.json"):
        shutil.copy(tmp_path / name, tmp_path / name.replace("val", "train2"))
    first = training_split(open_split(tmp_path, "val", images=None, cache=tmp_path / "cache", verbose=False))
    assert first.name == "train2" and training_split(first) is first


def test_an_answer_says_how_it_came_out(predictions: pd.DataFrame, split: Split) -> None:
    names = outcomes(predictions)
    for name in set(names):
        number = int(np.flatnonzero(names == name)[0])
        answer = answer_of(predictions, split, number)
        assert answer.outcome == name
        assert (answer.given == answer.truth) == (name == "right")
        same_class = CLASS_OF_ANSWER[answer.given] == CLASS_OF_ANSWER[answer.truth]
        assert same_class == (name != "invalid")
        assert answer.given in answer.verdict
        assert answer.picture.shape == (80, 120, 3)


def test_figures_show_every_type_and_model(predictions: pd.DataFrame, split: Split) -> None:
    metrics = compute_metrics(predictions)
    table = accuracy_table({"first": metrics, "second": metrics})
    by_type = plot_by_type(table, question_type_baseline(split, split), "Types")
    labels = [text.get_text().split("  ")[0] for text in by_type.axes[0].get_yticklabels()]
    assert labels == [ALL, *metrics["by_type"]]
    classes = plot_classes(table, "Classes")
    assert [axes.get_title() for axes in classes.axes] == ["first", "second"]
    # Right, wrong and invalid fill each bar.
    widths = [patch.get_width() for patch in classes.axes[0].patches]
    assert sum(widths) == pytest.approx(100 * len(metrics["by_answer_class"]))
    gallery = plot_gallery([{"a": answer_of(predictions, split, 0), "b": answer_of(predictions, split, 0)}], "Gallery")
    assert len(gallery.axes) == 3
    plt.close("all")


# The released weights on official pictures


@pytest.mark.slow
@pytest.mark.parametrize(("file", "right"), [("original_fp_epoch_493.pth", 918), ("ir_fp_epoch_312.pth", 945)])
def test_the_released_weights_answer_as_they_did(
    clevr_official: Path, seed_weights: Path, file: str, right: int
) -> None:
    split = open_split(clevr_official, "val", verbose=False)
    predictions = predict(load_weights(seed_weights / file), split, verbose=False)
    metrics = compute_metrics(predictions)
    assert set(metrics) == METRICS_KEYS
    assert metrics["n"] == 1000
    assert abs(1000 * metrics["accuracy"] - right) <= 2
    assert set(metrics["by_group"]) == set(TYPE_GROUPS)
    assert sum(entry["n"] for entry in metrics["by_type"].values()) == 1000
    # What both are weakest at, found from their answers alone.
    kinds = weak_kinds(weakest_types(predictions, question_type_baseline(split, split)))
    assert "count" in kinds
    assert in_common(predictions, question_traits(split), kinds) == ["count objects"]
