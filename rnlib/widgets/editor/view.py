"""The scene editor: `SceneEditor(SceneEditing.of_split(models, split, 0))` as the last line of a cell in JupyterLab.

Drag objects in the picture, or use the lists and sliders beside it, or, after a click into the editor, the KEYS.
"""

from collections.abc import Callable, Sequence
from functools import partial
from html import escape
from typing import Any

import ipywidgets as widgets

from rnlib.clevr.constants import ATTRIBUTES
from rnlib.widgets.answer_html import comparison, picture_uri
from rnlib.widgets.editor.canvas import SceneCanvas
from rnlib.widgets.editor.state import FARTHEST, STEP, SceneEditing
from rnlib.widgets.panel import Keys, Panel, attempt, button, choice, row

KEYS = (
    "Keys: arrows move the object, n selects the next, t turns it, c, m, s and z change colour, material, shape and "
    "size, a adds one like it, Delete removes it, u takes the last change back."
)
TURN = 15.0  # degrees of a key


class SceneEditor(Panel):
    """A picture to edit, a question, and what the networks and the program say. All it does is in `SceneEditing`."""

    def __init__(self, editing: SceneEditing) -> None:
        super().__init__("rn-editor")
        self.editing = editing
        self.canvas = SceneCanvas(self._select, self._drop)
        self.list = widgets.Select(description="object", rows=6, layout=widgets.Layout(width="330px"))
        self.right = _slider("right", -FARTHEST, FARTHEST, 0.05)
        self.behind = _slider("behind", -FARTHEST, FARTHEST, 0.05)
        self.turned = _slider("turned", 0.0, 360.0, 5.0)
        self.attributes = {
            name: choice(name, values, values[0]) for name, values in sorted(ATTRIBUTES.items(), reverse=True)
        }
        self.add = button("add", "plus", lambda: self._do(editing.add))
        self.remove = button("remove", "trash", lambda: self._do(editing.remove))
        self.undo = button("undo", "undo", lambda: self._do(editing.undo))
        self.text = widgets.Text(
            value=editing.question,
            placeholder="How many red things are left of the small cube?",
            continuous_update=False,
            layout=widgets.Layout(width="60%", min_width="300px"),
        )
        self.ask = button("ask", "question", self._ask, button_style="primary")
        self.message, self.broken, self.answers = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self.keyboard = Keys(self, self._key_actions())
        self._showing = False
        self._observe()
        controls = [self.list, self.right, self.behind, self.turned, *self.attributes.values()]
        picture = row(self.canvas, widgets.VBox([*controls, row(self.add, self.remove, self.undo), self.message]))
        picture.layout.align_items = "flex-start"
        self.children = [
            picture,
            widgets.HTML(f'<div style="font-size: 11px; line-height: 1.4">{KEYS}</div>'),
            self.broken,
            row(self.text, self.ask, self.keyboard),
            self.answers,
        ]
        self._show()

    def static_html(self) -> str:
        """The answers' card, and which rules the scene breaks."""
        return f"{self.broken.value}{self.answers.value}"

    def _observe(self) -> None:
        editing = self.editing
        self.list.observe(lambda change: self._change(partial(editing.select, change["new"])), names="value")
        for slider in (self.right, self.behind):
            slider.observe(
                lambda _: self._change(partial(editing.move_to, self.right.value, self.behind.value)), names="value"
            )
        self.turned.observe(lambda change: self._change(partial(editing.turn_to, change["new"])), names="value")
        for box in self.attributes.values():
            box.observe(self._change_attribute, names="value")
        self.text.observe(lambda _: self._change(self._set_question), names="value")

    def _change_attribute(self, change: dict[str, Any]) -> None:
        self._change(partial(self.editing.change, **{change["owner"].description: change["new"]}))

    def _key_actions(self) -> dict[str, Callable[[], None]]:
        editing = self.editing
        ways = {"ArrowLeft": (-1, 0), "ArrowRight": (1, 0), "ArrowUp": (0, 1), "ArrowDown": (0, -1)}
        attributes = {"c": "color", "m": "material", "s": "shape", "z": "size"}
        actions: dict[str, Callable[[], None]] = {
            **{key: partial(editing.move_by, STEP * right, STEP * behind) for key, (right, behind) in ways.items()},
            **{key: partial(editing.cycle, name) for key, name in attributes.items()},
            "n": editing.select_next,
            "t": lambda: editing.turn_to(editing.degrees + TURN),
            "a": editing.add,
            "Delete": editing.remove,
            "u": editing.undo,
        }
        return {key: partial(self._do, action) for key, action in actions.items()}

    def _select(self, number: int) -> None:
        self._do(lambda: self.editing.select(number))

    def _drop(self, number: int, x: float, y: float) -> None:
        def drop() -> None:
            self.editing.select(number)
            self.editing.drag_to(x, y)

        self._do(drop)

    def _ask(self) -> None:
        self._do(self._set_question)

    def _set_question(self) -> None:
        self.editing.question = self.text.value

    def _change(self, action: Callable[[], None]) -> None:
        """What a box asks for, unless it is only being set."""
        if not self._showing:
            self._do(action)

    def _do(self, action: Callable[[], None]) -> None:
        attempt(action, self.message)
        self._show()

    def _show(self) -> None:
        """Show the scene, what it breaks, and all answers."""
        editing = self.editing
        self._showing = True
        try:
            self._set_boxes()
        finally:
            self._showing = False
        self.canvas.picture = picture_uri(editing.drawn)
        self.canvas.outlines = [list(outline) for outline in editing.outlines()]
        self.canvas.labels = editing.labels
        self.canvas.selected = -1 if editing.selected is None else editing.selected
        self.broken.value = _rules(editing.broken())
        truth = editing.truth()
        opinions = {name: (one.answer, one.pairs, one.problem) for name, one in editing.opinions().items()}
        self.answers.value = comparison(editing.question, editing.drawn, opinions, truth.steps, truth.problem)

    def _set_boxes(self) -> None:
        editing = self.editing
        self.list.options = [(label, number) for number, label in enumerate(editing.labels)]
        self.list.value = editing.selected
        self.right.value, self.behind.value = editing.place
        self.turned.value = editing.degrees
        for name, box in self.attributes.items():
            box.value = getattr(editing.item, name) if editing.item else box.value
        for one in (self.list, self.right, self.behind, self.turned, *self.attributes.values(), self.remove):
            one.disabled = editing.item is None
        self.undo.disabled = not editing.changes
        self.undo.description = f"undo ({editing.changes})" if editing.changes else "undo"


def _slider(name: str, least: float, most: float, step: float) -> widgets.FloatSlider:
    return widgets.FloatSlider(
        description=name, min=least, max=most, step=step, continuous_update=False, layout=widgets.Layout(width="330px")
    )


def _rules(broken: Sequence[str]) -> str:
    """Which rules the scene breaks, as HTML."""
    if not broken:
        return '<small class="rn-rules">The scene keeps all of CLEVR\'s rules.</small>'
    lines = "".join(f"<li>{escape(one)}</li>" for one in broken)
    return f'<div class="rn-rules">CLEVR would not have this scene:<ul style="margin: 0">{lines}</ul></div>'
