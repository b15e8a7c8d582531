"""The error browser: `ErrorBrowser(Inspection(...), selections)` as the last line of a cell in JupyterLab.

In the page: left and right arrow step through the list.
"""

from collections.abc import Mapping, Sequence

import ipywidgets as widgets

from rnlib.errors import ConfigError, require_one_of
from rnlib.widgets.answer_html import card
from rnlib.widgets.inspector.state import Inspection
from rnlib.widgets.panel import Keys, Panel, button, row

ROWS = 8  # of the list that are seen at once
MOST = 500  # of a selection that are listed


class Selections:
    """Named selections of a split's questions, one question of one selection looked at at a time; no front end.

    `selections`: name -> numbers of questions (from 0), such as `error_selections` returns.
    """

    def __init__(self, inspection: Inspection, selections: Mapping[str, Sequence[int]]) -> None:
        self.inspection = inspection
        self.selections = {name: list(numbers)[:MOST] for name, numbers in selections.items() if len(numbers)}
        if not self.selections:
            raise ConfigError("expected at least one selection with a question in it, found none.")
        self.choose(next(iter(self.selections)))

    @property
    def names(self) -> list[str]:
        """The selections that have questions."""
        return list(self.selections)

    @property
    def questions(self) -> list[int]:
        """The questions of the selection looked at."""
        return self.selections[self.name]

    def choose(self, name: str) -> None:
        """Turn to a selection, at its first question. Raises ConfigError for an unknown one."""
        require_one_of(name, self.names, "selection")
        self.name = name
        self.look_at(0)

    def look_at(self, place: int) -> None:
        """Look at the question at `place` (from 0) of the selection; after the last comes the first."""
        self.place = place % len(self.questions)
        self.inspection.go_to(self.questions[self.place])

    def labels(self) -> list[str]:
        """Each question of the selection in a line: truth, answer and how sure it was, the question."""
        table, split = self.inspection.predictions[self.inspection.model], self.inspection.split
        rows = table.iloc[self.questions]
        entries = zip(rows["truth"], rows["answer"], rows["probability"], self.questions, strict=True)
        return [
            f"{truth} → {answer} ({100 * sure:.0f} %)  {split.question_text(number)}"
            for truth, answer, sure, number in entries
        ]


class ErrorBrowser(Panel):
    """A list of the questions of a selection, and the card of the one looked at. All it does is in `Selections`."""

    def __init__(self, inspection: Inspection, selections: Mapping[str, Sequence[int]]) -> None:
        super().__init__("rn-browser")
        self.state = Selections(inspection, selections)
        wide = widgets.Layout(width="calc(100% - 4px)", max_width="1000px")
        self.selection = widgets.Dropdown(options=self.state.names, description="selection", layout=wide)
        self.list = widgets.Select(rows=ROWS, layout=wide)
        self.back = button("previous", "arrow-left", lambda: self._look_at(self.state.place - 1))
        self.on = button("next", "arrow-right", lambda: self._look_at(self.state.place + 1))
        self.keyboard = Keys(self, {"ArrowLeft": self.back.click, "ArrowRight": self.on.click})
        self.place = widgets.Label()
        self.card = widgets.HTML()
        self._showing = False
        self.selection.observe(lambda change: self._choose(change["new"]), names="value")
        self.list.observe(lambda change: self._look_at(change["new"]), names="index")
        self.children = [self.selection, self.list, row(self.back, self.on, self.place, self.keyboard), self.card]
        self._choose(self.state.name)

    def static_html(self) -> str:
        """The card that is seen."""
        return str(self.card.value)

    def _choose(self, name: str) -> None:
        self.state.choose(name)
        self._showing = True
        try:
            # Equal lines must stay apart, so each has its place as value.
            self.list.options = [(label, place) for place, label in enumerate(self.state.labels())]
        finally:
            self._showing = False
        self._show()

    def _look_at(self, place: int | None) -> None:
        if not self._showing and place is not None:
            self.state.look_at(place)
            self._show()

    def _show(self) -> None:
        state = self.state
        self._showing = True
        try:
            self.list.index = state.place
        finally:
            self._showing = False
        self.place.value = f"{state.place + 1:,} of {len(state.questions):,}"
        answer = state.inspection.answer()
        if answer:
            self.card.value = card(answer, state.inspection.pairs(), state.inspection.chains())
