"""What the scene editor does, without a front end: change a scene, draw it again, ask networks and the program."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from jaxtyping import UInt8

from rnlib.clevr.constants import ATTRIBUTES, DIRECTIONS, HALF_WIDTH, RADII, VIEW
from rnlib.clevr.schema import Scene, SceneObject, one_scene
from rnlib.clevr.split import Split
from rnlib.errors import ConfigError, DataError, RnlibError, require_one_of
from rnlib.evaluation.attribution import PairMap
from rnlib.evaluation.examples import Answer
from rnlib.model.checkpoint import Weights
from rnlib.model.inputs import NetworkInputs
from rnlib.synthesis.camera import CAMERA, LAMPS, Camera, View
from rnlib.synthesis.camera_fit import fit_camera
from rnlib.synthesis.editing import broken_rules, change_object, place_seen_at, remove_object, with_objects
from rnlib.synthesis.truth import Truth, named, truth_of
from rnlib.widgets.asking import ask_network, split_of

FARTHEST = 5.0  # from the middle, that an object can be moved; CLEVR's own scenes end at HALF_WIDTH
MOST = 16  # objects that the renderer has room for (its ROOM); with more it would make new machine code, for a minute
STEP = 0.1  # world units that a key moves an object
QUESTION = "How many things are there?"


@dataclass(frozen=True, eq=False)
class Opinion:
    """What a network answers about the scene as it is, and what carried it; or why it does not."""

    answer: Answer | None = None
    pairs: PairMap | None = None
    problem: str = ""


class SceneEditing:
    """A scene with one object selected, its history, and a question about it.

    models: networks by name. scene: what to begin with. view: from where it is seen. Scenes that CLEVR would not have,
    and questions that do not fit them, are told of, never refused.
    """

    def __init__(self, models: Mapping[str, Weights], scene: Scene, view: View, question: str = QUESTION) -> None:
        if not models:
            raise ConfigError("expected at least one network to ask, found none.")
        self.models, self.view, self.question = dict(models), view, question
        self.selected: int | None = 0 if scene.objects else None
        self._history: list[Scene] = []
        self.scene = with_objects(scene, view.camera, scene.objects)
        self.drawn = self.draw()

    @classmethod
    def of_split(
        cls, models: Mapping[str, Weights], split: Split, row: int, question: str = QUESTION
    ) -> "SceneEditing":
        """The scene of picture row `row` of a split. DataError for a split without scenes or that row."""
        scene = split.scene(row)
        return cls(models, scene, _view(scene, split.picture_size(row)), question)

    @classmethod
    def of_file(
        cls, models: Mapping[str, Weights], path: Path | str, picture: str = "", question: str = QUESTION
    ) -> "SceneEditing":
        """A scene of a scene file; of several, that of the picture of this name. DataError for any other file."""
        scene = one_scene(Path(path), picture)
        return cls(models, scene, _view(scene, VIEW), question)

    # What is there

    @property
    def labels(self) -> list[str]:
        """Each object in words, with its number from 1."""
        return [f"{number}: {named(item)}" for number, item in enumerate(self.scene.objects, 1)]

    @property
    def item(self) -> SceneObject | None:
        """The object selected."""
        return None if self.selected is None else self.scene.objects[self.selected]

    @property
    def place(self) -> tuple[float, float]:
        """How far right and how far behind the middle the selected object stands, in world units."""
        if self.item is None:
            return 0.0, 0.0
        right, behind = (float(np.dot(self.item.coordinates, DIRECTIONS[way])) for way in ("right", "behind"))
        return right, behind

    def outlines(self) -> list[tuple[float, float, float]]:
        """Of each object x and y as parts of the picture's width and height, and its radius as a part of the width."""
        right = self.view.camera.axes[0]
        outlines = []
        for item in self.scene.objects:
            centre = np.array(item.coordinates)
            ends = self.view.camera.project(np.stack([centre, centre + RADII[item.size] * right]), (1, 1))
            outlines.append((float(ends[0, 0]), float(ends[0, 1]), float(ends[1, 0] - ends[0, 0])))
        return outlines

    def draw(self, size: tuple[int, int] = VIEW) -> UInt8[np.ndarray, "height width 3"]:
        """The picture of the scene as it is; size: (width, height)."""
        from rnlib.synthesis.pictures import draw  # loads numba

        drawn: np.ndarray = draw([self.scene], [self.view], size)[0]
        return drawn

    def broken(self) -> list[str]:
        """Which of CLEVR's rules for scenes this one breaks, in plain words."""
        return broken_rules(self.scene, self.view.camera)

    # What is done

    def select(self, number: int | None) -> None:
        """Select object `number` (from 0), or none. ConfigError where there is no such object."""
        if number is not None and not 0 <= number < len(self.scene.objects):
            raise ConfigError(f"expected an object from 1 to {len(self.scene.objects)}, found {number + 1}.")
        self.selected = number

    def select_next(self) -> None:
        """Select the object after this one; after the last comes the first."""
        if self.scene.objects:
            self.selected = 0 if self.selected is None else (self.selected + 1) % len(self.scene.objects)

    def drag_to(self, x: float, y: float) -> None:
        """Move the selected object so that its centre is seen at x, y (parts of the picture's width and height)."""
        if self.item is not None:
            self._move(*place_seen_at(self.view.camera, (x, y), RADII[self.item.size]))

    def move_to(self, right: float, behind: float) -> None:
        """Move the selected object to a place as in `place`."""
        across, along = (np.array(DIRECTIONS[way][:2]) for way in ("right", "behind"))
        x, y = right * across + behind * along
        self._move(float(x), float(y))

    def move_by(self, right: float, behind: float) -> None:
        """Move the selected object by so much."""
        self.move_to(self.place[0] + right, self.place[1] + behind)

    def turn_to(self, degrees: float) -> None:
        """Turn the selected object; only of a cube it can be seen."""
        self.change(rotation=float(np.radians(degrees % 360)))

    @property
    def degrees(self) -> float:
        """How the selected object is turned, from 0 to 360."""
        return 0.0 if self.item is None else float(np.degrees(self.item.rotation) % 360)

    def change(self, **values: Any) -> None:
        """Change fields of the selected object, such as color="red". ConfigError for a value that CLEVR has not."""
        for name, value in values.items():
            if name in ATTRIBUTES:
                require_one_of(value, ATTRIBUTES[name], name)
        if self.selected is not None:
            self._become(change_object(self.scene, self.view.camera, self.selected, **values))

    def cycle(self, attribute: str) -> None:
        """Give the selected object the next value of an attribute."""
        if self.item is not None:
            values = ATTRIBUTES[attribute]
            self.change(**{attribute: values[(values.index(getattr(self.item, attribute)) + 1) % len(values)]})

    def add(self) -> None:
        """Add an object like the selected one (else a small gray sphere) where it breaks no more rules, if anywhere."""
        if len(self.scene.objects) == MOST:
            raise ConfigError(f"expected at most {MOST} objects, found one more. Remove one first.")
        new = self.item or SceneObject((0, 0, 0), (0, 0, 0), 0.0, "small", "gray", "rubber", "sphere")
        before, best = len(self.broken()), None
        for x, y in _SPOTS:
            item = msgspec.structs.replace(new, coordinates=(x, y, 0.0))
            scene = with_objects(self.scene, self.view.camera, [*self.scene.objects, item])
            more = len(broken_rules(scene, self.view.camera)) - before
            if best is None or more < best[0]:
                best = more, scene
            if more <= 0:
                break
        assert best is not None
        self._become(best[1])
        self.selected = len(self.scene.objects) - 1

    def remove(self) -> None:
        """Remove the selected object."""
        if self.selected is not None:
            self._become(remove_object(self.scene, self.view.camera, self.selected))

    def undo(self) -> None:
        """Take back the last change, if there is one."""
        if self._history:
            self._become(self._history.pop(), remember=False)

    @property
    def changes(self) -> int:
        """How many changes can be taken back."""
        return len(self._history)

    def _move(self, x: float, y: float) -> None:
        x, y = (min(max(value, -FARTHEST), FARTHEST) for value in (x, y))
        self.change(coordinates=(x, y, 0.0))

    def _become(self, scene: Scene, remember: bool = True) -> None:
        if remember:
            self._history.append(self.scene)
        self.scene = scene
        count = len(scene.objects)
        self.selected = None if not count else min(self.selected or 0, count - 1)
        self.drawn = self.draw()

    # What is asked

    def truth(self) -> Truth:
        """The true answer to the question, by its program."""
        return truth_of(self.question, self.scene)

    def opinions(self) -> dict[str, Opinion]:
        """What each network answers to the question, held against the truth where there is one."""
        truth = self.truth()
        return {name: self._opinion(weights, truth) for name, weights in self.models.items()}

    def answers(self) -> pd.DataFrame:
        """What each network answers, as a table by network: answer, probability, truth, outcome."""
        rows = {
            name: [*one.answer.top[0], one.answer.truth, one.answer.outcome] if one.answer else [one.problem, 0, "", ""]
            for name, one in self.opinions().items()
        }
        columns = ["answer", "probability", "truth", "outcome"]
        return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("network")

    def _opinion(self, weights: Weights, truth: Truth) -> Opinion:
        kind, most, count = weights.preset.kind, weights.preset.state_rows, len(self.scene.objects)
        if kind.pads and not kind.reads_pictures and count > most:
            return Opinion(problem=f"reads at most {most} objects, the scene has {count}")
        try:
            split = split_of(self.scene, self._picture_for(weights), self.question, weights.vocabulary)
            inputs = NetworkInputs.of(split, weights.preset, weights.vocabulary)
            return Opinion(*ask_network(weights, inputs, 0, self.question, truth, self.drawn))
        except RnlibError as error:
            return Opinion(problem=str(error))

    def _picture_for(self, weights: Weights) -> UInt8[np.ndarray, "3 size size"] | None:
        """The scene drawn in the size that a network reads; None for one that reads no pictures."""
        size = weights.preset.picture_size
        return None if size is None else np.ascontiguousarray(self.draw((size, size)).transpose(2, 0, 1))


def relational_question(scene: Scene) -> tuple[str, int]:
    """A question about a relation that fits the scene, and the object (from 0) that it starts from.

    The first object that its words fit alone. ConfigError where all objects have doubles.
    """
    words = [named(item) for item in scene.objects]
    alone = [number for number, one in enumerate(words) if words.count(one) == 1]
    if not alone:
        raise ConfigError("expected an object without a double to ask about, found none. Choose another picture.")
    return f"How many things are left of the {words[alone[0]]}?", alone[0]


def _view(scene: Scene, size: tuple[int, int]) -> View:
    """From where a scene was seen; an empty one, and one of another generator, from CLEVR's own place."""
    try:
        return View(Camera(fit_camera(scene, size).position), LAMPS)
    except DataError:
        return View(Camera(np.array(CAMERA)), LAMPS)


_GRID = np.linspace(-HALF_WIDTH + 0.5, HALF_WIDTH - 0.5, 11)
_SPOTS = sorted(((float(x), float(y)) for x in _GRID for y in _GRID), key=lambda spot: spot[0] ** 2 + spot[1] ** 2)
