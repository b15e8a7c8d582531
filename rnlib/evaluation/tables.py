"""Results as tables, beside the published figures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rnlib.clevr.constants import TYPE_GROUPS
from rnlib.evaluation.metrics import ALL
from rnlib.evaluation.statistics import wilson

PUBLISHED_FILE = Path(__file__).with_name("published.csv")
CENTRAL_FILE = Path(__file__).with_name("central_comparison.csv")


def published() -> pd.DataFrame:
    """Published accuracies on CLEVR in percent: model, split, overall, the five groups, source."""
    return pd.read_csv(PUBLISHED_FILE)


def central_comparison(released: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """What relations are worth: networks with them beside those without, on full-size synthetic val, in percent.

    Columns: model, questions, overall, the five groups, source. `released`: metrics of released networks on that set
    (`Weights.info["metrics"]["synthetic val"]`) by name, which come first; the others were measured once (docs/log.md).
    """
    rows = [
        {**results_row(name, "", one), "questions": one["n"], "source": "released weights"}
        for name, one in released.items()
    ]
    measured = pd.read_csv(CENTRAL_FILE)
    return pd.concat([pd.DataFrame(rows, columns=measured.columns), measured], ignore_index=True).round(1)


def results_row(name: str, split: str, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Our metrics as a row that lines up with `published`, in percent."""
    row: dict[str, Any] = {"model": name, "split": split, "overall": 100 * metrics["accuracy"]}
    for group in TYPE_GROUPS:
        entry = metrics["by_group"].get(group)
        row[group] = 100 * entry["accuracy"] if entry else None
    return row


def comparison_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Our rows above the published ones, in percent, rounded to a tenth."""
    table = pd.concat([pd.DataFrame(rows).assign(source="this run"), published()], ignore_index=True)
    return table.round(1)


def complete_table(accuracies: pd.DataFrame, seeds: pd.DataFrame | None = None) -> pd.DataFrame:
    """All results for readers: a row overall, a group and a type; a column a model, "82.1 [80.0, 84.0]" in percent.

    `accuracies`: `accuracy_table` of rnlib.evaluation.tables, with Wilson intervals. `seeds`: `seed_variance` of
    rnlib.evaluation.statistics, whose groups follow as "82.1 ± 0.3" (mean and standard deviation). The last row has the
    percentage of invalid answers.
    """
    shown = accuracies[accuracies["by"] != "answer class"]
    table = shown.groupby(["by", "name"], sort=False)["questions"].first().to_frame()
    for model, part in shown.groupby("model", sort=False):
        rows = part.set_index(["by", "name"])
        cells = [f"{row.accuracy:.1f} [{row.low:.1f}, {row.high:.1f}]" for row in rows.itertuples()]
        table[str(model)] = pd.Series(cells, rows.index)
    invalid = shown[shown["by"] == "overall"].set_index("model")["invalid"].map("{:.1f}".format)
    last = pd.DataFrame([invalid], index=pd.MultiIndex.from_tuples([("overall", "invalid")], names=["by", "name"]))
    table = pd.concat([table, last.assign(questions=table["questions"].iloc[0])])
    if seeds is not None:
        for group, part in seeds.groupby("model", sort=False):
            rows = part.set_index(["by", "name"])
            cells = [f"{row.accuracy:.1f} ± {row.sd:.1f}" for row in rows.itertuples()]
            table[str(group)] = pd.Series(cells, rows.index).reindex(table.index)
    return table.fillna("–")


def metrics_table(metrics: Mapping[str, Any]) -> pd.DataFrame:
    """Metrics as one table: a row overall, a group, a type and an answer class; accuracy and invalid in percent."""
    return accuracy_table({"": metrics})[["by", "name", "questions", "accuracy", "invalid"]].round(2)


def metrics_text(metrics: Mapping[str, Any]) -> str:
    """The same as plain text for a terminal."""
    lines = [f"{'':<14}{'':<20}{'questions':>10}{'accuracy %':>12}{'invalid %':>11}"]
    for row in metrics_table(metrics).to_dict("records"):
        invalid = "" if np.isnan(row["invalid"]) else f"{row['invalid']:.2f}"
        lines.append(f"{row['by']:<14}{row['name']:<20}{row['questions']:>10,}{row['accuracy']:>12.2f}{invalid:>11}")
    return "\n".join(lines) + f"\nloss {metrics['loss']:.4f}"


def accuracy_table(metrics: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Metrics of several models as one long table, in percent, with 95 % Wilson intervals.

    Columns: model, by (overall, group, type, answer class), name, questions, accuracy, low,
    high, invalid (missing for groups and types).
    """
    rows = []
    for model, values in metrics.items():
        entries = [("overall", ALL, values)]
        for by, key in (("group", "by_group"), ("type", "by_type"), ("answer class", "by_answer_class")):
            entries += [(by, name, entry) for name, entry in values[key].items()]
        for by, name, entry in entries:
            low, high = wilson(round(entry["accuracy"] * entry["n"]), entry["n"])
            invalid = 100 * entry["invalid"] if "invalid" in entry else None
            rows.append((model, by, name, entry["n"], 100 * entry["accuracy"], 100 * low, 100 * high, invalid))
    columns = ["model", "by", "name", "questions", "accuracy", "low", "high", "invalid"]
    return pd.DataFrame(rows, columns=columns).astype({"invalid": float})
