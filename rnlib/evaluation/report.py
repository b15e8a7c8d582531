"""A short text about a network's mistakes, written from the numbers: nothing in it is known beforehand."""

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd

from rnlib.evaluation.breakdowns import CLOSEST, MARGIN, OBJECTS, VISIBLE
from rnlib.evaluation.confusion import count_errors, frequent_confusions
from rnlib.evaluation.error_analysis import SIGNIFICANT, error_by_trait, in_common, weak_kinds, weakest_types
from rnlib.evaluation.metrics import BASELINE
from rnlib.evaluation.statistics import effect_within_types, holm, wilson
from rnlib.style import p_value

# What wrong answers have where their values are the smaller, and where they are the greater.
_EFFECTS = {
    OBJECTS: ("fewer objects in its scene", "more objects in its scene"),
    CLOSEST: ("two objects closer together", "its closest two objects farther apart"),
    VISIBLE: ("fewer visible pixels of the object asked about", "more visible pixels of the object asked about"),
    MARGIN: ("a narrower margin of the deciding relation", "a wider margin of the deciding relation"),
}


class Report(str):
    """Text in Markdown; a notebook shows it as such."""

    def _repr_markdown_(self) -> str:
        return str(self)


def describe_weakest(label: str, predictions: pd.DataFrame, traits: pd.DataFrame, baseline: pd.DataFrame) -> Report:
    """Which types of question the network is weakest at, with intervals, and what these have in common.

    `traits`: `question_traits` of rnlib.evaluation.breakdowns; `baseline`: `question_type_baseline`.
    """
    right, weakest = int(predictions["correct"].sum()), weakest_types(predictions, baseline)
    lines = [
        f"**{label}** is right in {_percent(right, len(predictions))} of {len(predictions):,} questions.",
        *_types(weakest),
        *_traits(predictions, traits, weak_kinds(weakest)),
    ]
    return Report("\n".join(lines))


def describe_mistakes(label: str, predictions: pd.DataFrame, factors: pd.DataFrame) -> Report:
    """What is confused, how far counts are off, and with what in the scene mistakes go.

    `factors`: `scene_factors` of rnlib.evaluation.breakdowns.
    """
    wrong = ~predictions["correct"].to_numpy(bool)
    lines = [f"**{label}**: {wrong.sum():,} wrong answers among {len(predictions):,} questions."]
    if wrong.any():
        lines += [
            _invalid(predictions),
            _confusions(predictions),
            *_counts(predictions),
            *_scenes(predictions, factors),
        ]
    return Report("\n".join(lines))


def _types(table: pd.DataFrame) -> list[str]:
    kinds = weak_kinds(table)
    if not len(table):
        return ["", "- **Weakest types.** Left out: the questions have no programs, hence no types."]
    if not kinds:
        return ["", "- **Weakest types.** No type is below the others."]
    chosen = [
        f"`{kind}` {row['accuracy']:.1f} % [{row['low']:.1f}, {row['high']:.1f}] of {row['questions']:,} questions, "
        f"all others {row['others']:.1f} % ({_p(row['p'])}; {BASELINE}: {row['baseline']:.0f} %)"
        for kind, row in zip(kinds, table.loc[kinds].to_dict("records"), strict=True)
    ]
    if table["weak"].any():
        text = f"- **Weakest types**, below the others by more than chance: {'; '.join(chosen)}."
        doubtful = table[~table["weak"] & (table["high"] < table["others"])]
        if len(doubtful):
            named = ", ".join(
                f"`{kind}` ({row['accuracy']:.1f} %, {row['questions']:.0f} questions)"
                for kind, row in doubtful.iterrows()
            )
            text += f" Low as well, though not beyond doubt with so few questions: {named}."
    else:
        text = (
            f"- **Weakest types.** No single type is shown to be below the others when {len(table)} of them are "
            f"compared; the lowest are {'; '.join(chosen)}."
        )
    return ["", text]


def _traits(predictions: pd.DataFrame, traits: pd.DataFrame, kinds: list[str]) -> list[str]:
    common, errors = in_common(predictions, traits, kinds), error_by_trait(predictions, traits)
    lines = []
    if common and kinds:
        others = ~predictions["type"].isin(kinds).to_numpy()
        shares = [
            f"{trait} ({100 * traits[trait].to_numpy()[others].mean():.0f} % of the other questions do)"
            for trait in common
        ]
        who = "They all" if len(kinds) > 1 else "Its questions"
        lines.append(f"- **In common.** {who} {' and '.join(shares)}.")
    shown = errors[(errors["p"] < SIGNIFICANT) & (errors["ratio"] > 1)]
    for trait, row in shown.iterrows():
        asked = f"{row['questions']:,.0f}{_overlap(traits, trait, shown.index)}"
        lines.append(
            f"- Questions that **{trait}** ({asked}) are answered wrongly in {row['with']:.1f} % "
            f"[{row['with low']:.1f}, {row['with high']:.1f}], all others in {row['without']:.1f} % "
            f"[{row['without low']:.1f}, {row['without high']:.1f}]: {row['ratio']:.1f} times "
            f"[{row['ratio low']:.1f}, {row['ratio high']:.1f}] as often ({_p(row['p'])})."
        )
    if not len(shown):
        lines.append("- No trait of the questions is shown to go with more errors.")
    return lines


def _overlap(traits: pd.DataFrame, trait: Hashable, others: pd.Index) -> str:
    """ "; 95 % of them also count objects", for those of `others` that nearly all questions with the trait have."""
    own = traits[traits[trait].to_numpy(bool)]
    shares = {other: 100 * own[other].mean() for other in others if other != trait}
    named = [f"{share:.0f} % of them also {other}" for other, share in shares.items() if share >= 80]
    return f"; {_listed(named)}" if named else ""


def _invalid(predictions: pd.DataFrame) -> str:
    invalid = int(predictions["invalid"].sum())
    return f"\n- **Reading the question.** Invalid answers: {_percent(invalid, len(predictions))} of all questions."


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number:,} times")


def _confusions(predictions: pd.DataFrame) -> str:
    table = frequent_confusions(predictions, most=3)
    rows = zip(table["answer"], table["truth"], table["questions"].astype(int), strict=True)
    named = [f"*{answer}* for *{truth}* ({_times(questions)})" for answer, truth, questions in rows]
    share = table["of errors"].sum()
    return f"- **Confusions.** The most frequent are {_listed(named)}: {share:.0f} % of all mistakes."


def _counts(predictions: pd.DataFrame) -> list[str]:
    errors = count_errors(predictions)
    errors = errors[(errors.index != 0) & (errors > 0)]
    total = int(errors.sum())
    if not total:
        return []
    by_one, low = int(errors[np.abs(errors.index) == 1].sum()), int(errors[errors.index < 0].sum())
    return [
        f"- **Numbers.** Of {total:,} wrong numbers {_percent(by_one, total)} are off by one, "
        f"and {_percent(low, total)} are too low."
    ]


def _scenes(predictions: pd.DataFrame, factors: pd.DataFrame) -> list[str]:
    effects = {name: effect_within_types(predictions, factors[name].to_numpy(float)) for name in factors}
    effects = {name: effect for name, effect in effects.items() if effect.p == effect.p}
    corrected = dict(zip(effects, holm([effect.p for effect in effects.values()]), strict=True))
    shown, not_shown = [], []
    for name, effect in effects.items():
        if corrected[name] < SIGNIFICANT:
            what = _EFFECTS[str(name)][int(effect.share > 0.5)]
            shown.append(f"{what} ({100 * max(effect.share, 1 - effect.share):.0f} %, {_p(corrected[name])})")
        else:
            not_shown.append(f"{name} ({_p(corrected[name])})")
    lines = []
    if shown:
        lines.append(
            "- **Scene.** Take a wrong and a right answer to questions of one type. More often than not "
            f"(in brackets: how often) the wrong one has {_listed(shown)}."
        )
    if not_shown:
        lines.append(f"- No relation is shown between mistakes and {_listed(not_shown)}.")
    return lines


def _percent(hits: int, n: int) -> str:
    low, high = wilson(hits, n)
    return f"{100 * hits / n:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def _p(p: float) -> str:
    return "p " + (p_value(p) if p < 0.0001 else f"= {p_value(p)}")


def _listed(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
