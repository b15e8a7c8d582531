"""The answer inspector: `Inspector(Inspection(...))` as the last line of a cell in JupyterLab."""

import time
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import ipywidgets as widgets

from rnlib.errors import RnlibError
from rnlib.evaluation.attribution import PairMap
from rnlib.evaluation.examples import Answer
from rnlib.widgets.answer_html import card
from rnlib.widgets.autocomplete import KNOWN, UNFINISHED, Word
from rnlib.widgets.inspector.state import Inspection

LATE = 0.5  # seconds


class Inspector(widgets.VBox):
    """Filters, steps, the answer's card, and a box for a question of one's own. All it does is in `Inspection`."""

    def __init__(self, inspection: Inspection) -> None:
        super().__init__()
        self.add_class("rn-inspector")
        self.inspection = inspection
        self.model = _choice("model", list(inspection.models), inspection.model)
        self.split = _choice("split", inspection.split_names, inspection.split.name)
        self.type = _choice("type", inspection.types, inspection.type)
        self.outcome = _choice("outcome", inspection.outcome_names, inspection.outcome)
        self.back = widgets.Button(description="previous", icon="arrow-left")
        self.on = widgets.Button(description="next", icon="arrow-right")
        self.random = widgets.Button(description="random", icon="random")
        self.index = widgets.BoundedIntText(
            description="question", min=0, max=inspection.split.n_questions - 1, layout=widgets.Layout(width="180px")
        )
        self.place = widgets.Label()
        self.card = widgets.HTML()
        self.text = widgets.Text(
            placeholder="Ask about this picture, e.g. How many red cubes are there?",
            layout=widgets.Layout(width="60%"),
        )
        self.ask = widgets.Button(description="ask", icon="question", button_style="primary")
        self.words = widgets.HTML()
        self.examples = widgets.VBox()
        self.message = widgets.HTML()
        self._showing = False
        self._entered: tuple[float, str] | None = None
        for box in (self.model, self.split, self.type, self.outcome):
            box.observe(self._filter, names="value")
        self.back.on_click(lambda _: self._move(lambda: inspection.step(-1)))
        self.on.on_click(lambda _: self._move(lambda: inspection.step(1)))
        self.random.on_click(lambda _: self._move(inspection.jump))
        self.index.observe(self._go_to, names="value")
        self.ask.on_click(lambda _: self._ask())
        self.text.observe(self._typed, names="value")
        self.text.on_msg(self._submitted)
        self.children = [
            widgets.HBox([self.model, self.split, self.type, self.outcome]),
            widgets.HBox([self.back, self.on, self.random, self.index, self.place]),
            self.card,
            widgets.HBox([self.text, self.ask]),
            self.words,
            self.examples,
            self.message,
        ]
        self._show()

    def _filter(self, change: dict[str, Any]) -> None:
        if self._showing:
            return
        chosen = {change["owner"].description: change["new"]}
        self._move(lambda: self.inspection.choose(**chosen))

    def _go_to(self, change: dict[str, Any]) -> None:
        if not self._showing:
            self._move(lambda: self.inspection.go_to(change["new"]))

    def _move(self, move: Callable[[], object]) -> None:
        try:
            move()
            self._show()
        except RnlibError as error:
            self._set_boxes()
            self.message.value = escape(str(error), quote=False)

    def _show(self) -> None:
        """Show the question looked at."""
        inspection = self.inspection
        self._set_boxes()
        self._show_card(inspection.answer(), inspection.pairs(), inspection.chains())
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

    def _show_card(self, answer: Answer | None, pairs: PairMap | None, chains: Sequence[str] = ()) -> None:
        self.message.value = ""
        self.card.value = card(answer, pairs, chains) if answer else ""

    def _ask(self) -> None:
        try:
            answer, pairs = self.inspection.ask(self.text.value)
        except RnlibError as error:
            self.message.value = escape(str(error), quote=False)
        else:
            self._show_card(answer, pairs)

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
    """The words of a question: unknown ones struck in orange, with what may be meant; unfinished ones with endings."""
    parts = []
    for word in words:
        text, more = escape(word.text), escape(", ".join(word.suggestions))
        if word.state == KNOWN:
            parts.append(f'<span class="rn-known">{text}</span>')
        elif word.state == UNFINISHED:
            parts.append(f'<span class="rn-unfinished">{text}… <small>({more})</small></span>')
        else:
            hint = more or "no known word is near"
            parts.append(
                f'<span class="rn-unknown" style="color: #D55E00"><u>{text}</u> <small>(unknown: {hint})</small></span>'
            )
    return " ".join(parts)


def _choice(name: str, options: Sequence[str], value: str) -> widgets.Dropdown:
    layout = widgets.Layout(width="240px")
    return widgets.Dropdown(options=list(options), value=value, description=name, layout=layout)
