"""A scene with other objects, and which of CLEVR's rules for scenes it breaks."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import msgspec
import numpy as np

from rnlib.clevr.constants import DIRECTIONS, HALF_WIDTH, RADII, VIEW
from rnlib.clevr.schema import Scene, SceneObject
from rnlib.synthesis.camera import Camera, focal_pixels
from rnlib.synthesis.scenes import GAP, LEAST_VISIBLE, MARGIN, relationships
from rnlib.synthesis.visibility import Solids, visible_pixels

Pair = tuple[int, int]  # the numbers of two objects, the smaller first


def with_objects(
    scene: Scene, camera: Camera, objects: Sequence[SceneObject], picture: tuple[int, int] = VIEW
) -> Scene:
    """`scene` with these objects: heights, pixel_coords and relationships follow from their sizes and places.

    camera: what the scene is seen from. picture: (width, height) of the picture that pixel_coords speak of.
    """
    centres = np.array([(*item.coordinates[:2], RADII[item.size]) for item in objects]).reshape(-1, 3)
    pixels = camera.project(centres, picture).tolist()
    made = [
        msgspec.structs.replace(
            item, coordinates=(x, y, z), pixel_coords=(float(round(across)), float(round(down)), depth)
        )
        for item, (x, y, z), (across, down, depth) in zip(objects, centres.tolist(), pixels, strict=True)
    ]
    return msgspec.structs.replace(scene, objects=made, relationships=relationships(centres))


def change_object(scene: Scene, camera: Camera, number: int, picture: tuple[int, int] = VIEW, **values: Any) -> Scene:
    """`scene` with some fields of object `number` (from 0) changed, such as color="red" or coordinates=(x, y, z).

    The height z follows from the size, whatever is given. camera, picture: as `with_objects`.
    """
    objects = list(scene.objects)
    objects[number] = msgspec.structs.replace(objects[number], **values)
    return with_objects(scene, camera, objects, picture)


def remove_object(scene: Scene, camera: Camera, number: int) -> Scene:
    """`scene` without object `number` (from 0); those after it move up by one."""
    return with_objects(scene, camera, scene.objects[:number] + scene.objects[number + 1 :])


def place_seen_at(camera: Camera, point: tuple[float, float], height: float) -> tuple[float, float]:
    """World x and y of what is seen at a point of the picture, `height` above the ground: projecting the other way.

    point: x and y as parts of the picture's width and height. Above the horizon the place is behind the camera.
    """
    (width, tall), focal = camera.shape, focal_pixels(camera.shape)
    ray = np.array([(point[0] - 0.5) * width / focal, (point[1] - 0.5) * tall / focal, 1.0]) @ camera.axes
    x, y, _ = camera.position + ray * (height - camera.position[2]) / ray[2]
    return float(x), float(y)


def too_close(scene: Scene) -> list[Pair]:
    """Pairs of objects with less room between them than CLEVR leaves (GAP), overlapping ones included."""
    return [
        (i, j)
        for (i, one), (j, other) in combinations(enumerate(scene.objects), 2)
        if np.hypot(*_apart(one, other)) < RADII[one.size] + RADII[other.size] + GAP
    ]


def ambiguous(scene: Scene) -> list[Pair]:
    """Pairs of objects that are less far apart than CLEVR's MARGIN in one of the two directions of its relations."""
    ways = np.array([DIRECTIONS["right"], DIRECTIONS["front"]])[:, :2]
    return [
        (i, j)
        for (i, one), (j, other) in combinations(enumerate(scene.objects), 2)
        if (np.abs(ways @ _apart(one, other)) < MARGIN).any()
    ]


def hidden(scene: Scene, camera: Camera) -> list[int]:
    """Objects that fewer pixels of a 480x320 picture show than CLEVR asks for (LEAST_VISIBLE)."""
    if not scene.objects:
        return []
    return np.flatnonzero(visible_pixels(camera, Solids.of_scene(scene)) < LEAST_VISIBLE).tolist()


def outside(scene: Scene) -> list[int]:
    """Objects beyond the square where CLEVR places them (HALF_WIDTH)."""
    return [i for i, item in enumerate(scene.objects) if max(map(abs, item.coordinates[:2])) > HALF_WIDTH]


def broken_rules(scene: Scene, camera: Camera) -> list[str]:
    """What keeps a scene from being one of CLEVR's, in plain words; nothing where it keeps all rules."""
    names = [f"the {item.size} {item.color} {item.material} {item.shape}" for item in scene.objects]
    said = [f"{names[i]} and {names[j]} overlap or are closer than {GAP:g}" for i, j in too_close(scene)]
    said += [
        f"{names[i]} and {names[j]} are less than {MARGIN:g} apart along left and right, or front and behind"
        for i, j in ambiguous(scene)
    ]
    said += [f"{names[i]} is hidden: fewer than {LEAST_VISIBLE} pixels show it" for i in hidden(scene, camera)]
    return said + [f"{names[i]} is more than {HALF_WIDTH:g} from the middle" for i in outside(scene)]


def _apart(one: SceneObject, other: SceneObject) -> np.ndarray:
    return np.subtract(other.coordinates[:2], one.coordinates[:2])
