"""The answer inspector: `Inspector(Inspection(...))` as the last line of a cell in JupyterLab."""

import html
import io
from collections.abc import Callable

import ipywidgets as widgets
import matplotlib.pyplot as plt

from rnlib.errors import RnlibError
from rnlib.evaluation.answers import Answer
from rnlib.evaluation.plots import plot_answer
from rnlib.widgets.inspection import Inspection


class Inspector(widgets.VBox):
    """Filters, steps, the answer's figure, and a box for a question of one's own. All it does is in `Inspection`."""

    def __init__(self, inspection: Inspection) -> None:
        super().__init__()
        self.inspection = inspection
        self.model = widgets.Dropdown(options=list(inspection.models), value=inspection.model, description="model")
        self.type = widgets.Dropdown(options=inspection.types, value=inspection.type, description="type")
        self.outcome = widgets.Dropdown(
            options=inspection.outcome_names, value=inspection.outcome, description="outcome"
        )
        self.back = widgets.Button(description="previous", icon="arrow-left")
        self.on = widgets.Button(description="next", icon="arrow-right")
        self.random = widgets.Button(description="random", icon="random")
        self.place = widgets.Label()
        self.figure = widgets.Image(format="png", layout=widgets.Layout(width="100%", max_width="900px"))
        self.text = widgets.Text(
            placeholder="Ask about this picture, e.g. How many red cubes are there?",
            continuous_update=False,
            layout=widgets.Layout(width="60%"),
        )
        self.ask = widgets.Button(description="ask", icon="question", button_style="primary")
        self.message = widgets.HTML()
        for box in (self.model, self.type, self.outcome):
            box.observe(lambda _: self._filter(), names="value")
        self.back.on_click(lambda _: self._move(lambda: inspection.step(-1)))
        self.on.on_click(lambda _: self._move(lambda: inspection.step(1)))
        self.random.on_click(lambda _: self._move(inspection.jump))
        self.ask.on_click(lambda _: self._ask())
        self.text.observe(lambda _: self._ask(), names="value")
        self.children = [
            widgets.HBox([self.model, self.type, self.outcome]),
            widgets.HBox([self.back, self.on, self.random, self.place]),
            self.figure,
            widgets.HBox([self.text, self.ask]),
            self.message,
        ]
        self._show(inspection.answer())

    def _filter(self) -> None:
        self.inspection.choose(model=self.model.value, type=self.type.value, outcome=self.outcome.value)
        self._show(self.inspection.answer())

    def _move(self, move: Callable[[], None]) -> None:
        move()
        self._show(self.inspection.answer())

    def _ask(self) -> None:
        try:
            self._show(self.inspection.ask(self.text.value))
        except RnlibError as error:
            self.message.value = html.escape(str(error), quote=False)

    def _show(self, answer: Answer | None) -> None:
        self.place.value = self.inspection.place
        self.message.value = ""
        self.figure.layout.display = None if answer else "none"
        if answer:
            self.figure.value = answer_png(answer)


def answer_png(answer: Answer) -> bytes:
    """The figure of an answer as a PNG file's bytes."""
    figure = plot_answer(answer)
    try:
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=100)
        return buffer.getvalue()
    finally:
        plt.close(figure)
