"""The answer inspector: `Inspector(Inspection(...))` as the last line of a cell in JupyterLab.

In the page: left and right arrow step through the questions, Enter in the text box asks.
"""

import time
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import ipywidgets as widgets

from rnlib.errors import RnlibError
from rnlib.widgets.answer_html import card, empty_card
from rnlib.widgets.autocomplete import KNOWN, UNFINISHED, UNTRAINED, Word
from rnlib.widgets.inspector.state import Inspection, Shown
from rnlib.widgets.panel import Keys, Panel, button, choice, row

LATE = 0.5  # seconds


class Inspector(Panel):
    """Filters, steps, the answer's card, and a box for a question of one's own. All it does is in `Inspection`."""

    def __init__(self, inspection: Inspection) -> None:
        super().__init__("rn-inspector")
        self.inspection = inspection
        self.model = choice("model", list(inspection.models), inspection.model)
        self.split = choice("split", inspection.split_names, inspection.split.name)
        self.type = choice("type", inspection.types, inspection.type)
        self.outcome = choice("outcome", inspection.outcome_names, inspection.outcome)
        self.back = button("previous", "arrow-left", lambda: self._move(lambda: inspection.step(-1)))
        self.on = button("next", "arrow-right", lambda: self._move(lambda: inspection.step(1)))
        self.random = button("random", "random", lambda: self._move(inspection.jump))
        self.index = widgets.BoundedIntText(
            description="question", min=0, max=inspection.split.n_questions - 1, layout=widgets.Layout(width="180px")
        )
        self.place = widgets.Label()
        self.notice = widgets.HTML()
        self.card = widgets.HTML()
        self.text = widgets.Text(
            placeholder="Ask about this picture, e.g. How many red cubes are there?",
            layout=widgets.Layout(width="60%", min_width="300px"),
        )
        self.ask = button("ask", "question", self._ask, button_style="primary")
        self.message = widgets.HTML()
        self.words = widgets.HTML()
        self.examples = widgets.VBox()
        self.keyboard = Keys(self, {"ArrowLeft": self.back.click, "ArrowRight": self.on.click})
        self._showing = False
        self._entered: tuple[float, str] | None = None
        for box in (self.model, self.split, self.type, self.outcome):
            box.observe(self._filter, names="value")
        self.index.observe(self._go_to, names="value")
        self.text.observe(self._typed, names="value")
        self.text.on_msg(self._submitted)
        self.children = [
            row(self.model, self.split, self.type, self.outcome),
            row(self.back, self.on, self.random, self.index, self.place, self.keyboard),
            self.notice,
            self.card,
            row(self.text, self.ask),
            self.message,
            self.words,
            self.examples,
        ]
        self._show()

    def static_html(self) -> str:
        """The card that is seen."""
        return str(self.card.value)

    def _filter(self, change: dict[str, Any]) -> None:
        if self._showing:
            return
        chosen = {change["owner"].description: change["new"]}
        self._move(lambda: self.inspection.choose(**chosen))

    def _go_to(self, change: dict[str, Any]) -> None:
        if not self._showing:
            self._move(lambda: self.inspection.go_to(change["new"]))

    def _move(self, move: Callable[[], object]) -> None:
        self.notice.value = self.message.value = ""
        try:
            move()
        except RnlibError as error:
            self.notice.value = _problem(error)
        self._show()

    def _show(self) -> None:
        """Show the question looked at."""
        self._set_boxes()
        try:
            self._show_card(self.inspection.shown())
        except RnlibError as error:  # another model does not know a word of the question asked
            self.message.value = _problem(error)
            self._show_card(self.inspection.shown())
        self._check()

    def _set_boxes(self) -> None:
        """Let every box say what the inspection has, which may have refused what was chosen."""
        inspection = self.inspection
        self._showing = True
        try:
            self.split.value = inspection.split.name
            self.type.options, self.type.value = inspection.types, inspection.type
            self.index.max = inspection.split.n_questions - 1
            if inspection.question is not None:
                self.index.value = inspection.question
        finally:
            self._showing = False
        self.place.value = inspection.place

    def _show_card(self, shown: Shown | None) -> None:
        if shown:
            self.card.value = card(shown.answer, shown.pairs, shown.steps, shown.note)
        else:
            self.card.value = empty_card(self.inspection.advice)

    def _ask(self) -> None:
        self.message.value = ""
        try:
            self._show_card(self.inspection.put(self.text.value))
        except RnlibError as error:
            self.message.value = _problem(error)

    def _submitted(self, _: object, content: dict[str, Any], __: object) -> None:
        """Enter in the text box."""
        if content.get("event") == "submit":
            self._entered = (time.monotonic(), self.text.value)
            self._ask()

    def _typed(self, change: dict[str, Any]) -> None:
        self._check()
        # The front end sends what is typed while the kernel is busy only when it is idle again; Enter comes at once.
        # So what arrives right after Enter, or in one piece, was typed before it, and is what was asked.
        if self._entered:
            (when, text), self._entered = self._entered, None
            if time.monotonic() - when < LATE or len(change["new"]) > len(text) + 1:
                self._ask()

    def _check(self) -> None:
        """Mark the words typed so far, and offer questions that sound like them."""
        self.words.value = words_html(self.inspection.check(self.text.value))
        examples = self.inspection.suggest(self.text.value)
        if [button.tooltip for button in self.examples.children] != examples:
            self.examples.children = [self._example(question) for question in examples]

    def _example(self, question: str) -> widgets.Button:
        button = widgets.Button(
            description=question, tooltip=question, icon="lightbulb-o", layout=widgets.Layout(width="auto")
        )
        button.add_class("rn-example")
        button.on_click(lambda _: self._ask_example(question))
        return button

    def _ask_example(self, question: str) -> None:
        self.text.value = question
        self._ask()


def words_html(words: Sequence[Word]) -> str:
    """The words of a question: unknown ones in orange, with what may be meant; unfinished ones with endings."""
    parts = []
    for word in words:
        text, more = escape(word.text), escape(", ".join(word.suggestions))
        if word.state == KNOWN:
            parts.append(f'<span class="rn-known">{text}</span>')
        elif word.state == UNTRAINED:
            parts.append(f'<span class="rn-untrained"><u>{text}</u> <small>(in no training question)</small></span>')
        elif word.state == UNFINISHED:
            parts.append(f'<span class="rn-unfinished">{text}… <small>({more})</small></span>')
        else:
            hint = more or "no known word is near"
            parts.append(
                f'<span class="rn-unknown" style="color: #D55E00"><u>{text}</u> <small>(unknown: {hint})</small></span>'
            )
    return " ".join(parts)


def _problem(error: RnlibError) -> str:
    return escape(str(error), quote=False)
