"""Pictures, one by one: which object each ray of the camera meets, and what light it sends back.

Of each object only the rays within its own rectangle are cast, and the nearest hit of each ray stays. Objects are
cast at OVERSAMPLING times the picture's resolution, the smooth ground on a grid of its own, and there only where it is
seen. In float64: machines round the last digits differently, and there they are far too small to reach a byte.
"""

from collections.abc import Sequence
from functools import cache
from math import inf, sqrt
from typing import no_type_check

import numpy as np

from rnlib.clevr.constants import VIEW
from rnlib.clevr.schema import Scene
from rnlib.compiled import compiled
from rnlib.synthesis.camera import Camera, View, focal_pixels
from rnlib.synthesis.canvas import OVERSAMPLING, neighbours, put, reduce, spread
from rnlib.synthesis.geometry import (
    ahead,
    bodies_of,
    body_type,
    corners,
    enter,
    enter_rounded,
    in_own_frames,
    normal_at,
)
from rnlib.synthesis.light import LIGHT, SAMPLES, find_shaders, light_up
from rnlib.synthesis.shading import ground, metal, rubber, shaders_of

GROUND_CELLS = 240  # most cells of the ground's grid across a picture
TILE = 8  # cells of it, across and down, for which is found together what may shade them
FARTHEST = 40.0  # of the ground: beyond, towards the horizon, nothing changes

_WIDE, _HIGH = (side / focal_pixels(VIEW) for side in VIEW)  # the picture, at distance 1


ROOM = 16  # for bodies; a scene of more makes new machine code

EYE = np.dtype([("position", float, 3), ("axes", float, (3, 3))])  # a camera; rows of axes: right, down, forward
# The same camera as an object sees it, and the fine pixels that may show the object.
SIGHT = np.dtype([("position", float, 3), ("axes", float, (3, 3)), ("body", np.int64), ("window", np.int64, 4)])


@cache
def _scene_type(bodies: int) -> np.dtype:
    """A scene with room for some bodies: one record, which machine code passes on faster than arrays.

    (It counts who holds an array, at every call.)
    """
    return np.dtype(
        [
            ("count", np.int64),  # of the bodies; the rows after them are empty
            ("bodies", body_type(SAMPLES**2), bodies),
            ("lights", LIGHT, 4),
            ("eye", EYE),
            ("sights", SIGHT, bodies),
        ],
        align=True,
    )


def describe(scenes: Sequence[Scene], views: Sequence[View], size: tuple[int, int]) -> np.ndarray:
    """What `trace` is to know of scenes and views for pictures of `size` (width, height), a record each."""
    most = max((len(scene.objects) for scene in scenes), default=0)
    records = np.zeros(len(scenes), _scene_type(max(most, ROOM)))
    for record, scene, view in zip(records, scenes, views, strict=True):
        bodies = bodies_of(scene, SAMPLES**2)
        count = record["count"] = len(bodies)
        record["lights"] = light_up(bodies, view.lamps)
        record["bodies"][:count] = bodies
        record["eye"]["position"] = view.camera.position
        record["eye"]["axes"] = view.camera.axes * stretch_of(view.camera)[:, None]
        record["sights"][:count] = sights_of(bodies, view.camera, size)
    return records


def stretch_of(camera: Camera) -> np.ndarray:
    """How much wider and higher a camera's view is than CLEVR's 3:2 view, and 1 for the third axis."""
    if camera.shape == VIEW:
        return np.ones(3)
    width, height = (side / focal_pixels(camera.shape) for side in camera.shape)
    return np.array([width / _WIDE, height / _HIGH, 1.0])


def sights_of(bodies: np.ndarray, camera: Camera, size: tuple[int, int]) -> np.ndarray:
    """What a camera sees of each body in a picture of `size` (width, height), SIGHT (bodies,), the nearest first.

    window: columns from, to, and rows from, to.
    """
    fine = np.array(size) * OVERSAMPLING
    places = np.moveaxis((corners(bodies) - camera.position) @ camera.axes.T, 2, 0)
    stretch = stretch_of(camera)
    sides = np.array([_WIDE, _HIGH]) * stretch[:2]
    places = (places[:2] / places[2] / sides[:, None, None] + 0.5) * fine[:, None, None]
    low = np.clip(np.floor(places.min(2)), 0, fine[:, None])
    high = np.clip(np.ceil(places.max(2)), 0, fine[:, None])
    away = camera.position - bodies["centre"]
    sights = np.zeros(len(bodies), SIGHT)
    sights["position"] = in_own_frames(bodies, away[:, None])[:, 0]
    sights["axes"] = in_own_frames(bodies, camera.axes * stretch[:, None])
    sights["body"] = np.arange(len(bodies))
    sights["window"] = np.stack([low[0], high[0], low[1], high[1]], 1)
    return sights[np.argsort((away * away).sum(1), kind="stable")]


@compiled
@no_type_check
def trace(scenes, pictures):
    """Draw scenes as `describe` has them into `pictures`, uint8 (scenes, height, width, 3) of sRGB."""
    _, height, width, _ = pictures.shape
    cell = -(-width // GROUND_CELLS)
    # For all pictures once: fresh memory comes in pages that the system clears one by one.
    canvas = np.empty((height * OVERSAMPLING, width * OVERSAMPLING, 3), np.float32)
    owner = np.empty(canvas.shape[:2], np.int16)
    depth = np.empty(canvas.shape[:2])
    coarse = np.empty((-(-height // cell), -(-width // cell), 3), np.float32)
    for i in range(len(scenes)):
        _cast(scenes[i], owner, depth)
        coarse[:] = 0.0
        _lay_ground(scenes[i], owner, coarse)
        spread(coarse, owner, canvas)
        _light_bodies(scenes[i], owner, depth, canvas)
        reduce(canvas, pictures[i])


@compiled
@no_type_check
def _light_bodies(scene, owner, depth, canvas):
    """Fill the pixels of `canvas`, float32 (rows, columns, 3), that belong to bodies, with sRGB."""
    shaders = np.empty((scene.count, len(scene.lights)), np.int64)
    for i in range(scene.count):
        centre = scene.bodies[i].centre
        ball = find_shaders(scene, (centre[0], centre[1], centre[2]), scene.bodies[i].bound, i)
        for light in range(len(scene.lights)):
            shaders[i, light] = ball[light]
    eye = scene.eye
    start = (eye.position[0], eye.position[1], eye.position[2])
    for row in range(canvas.shape[0]):
        for column in range(canvas.shape[1]):
            i = owner[row, column]
            if i >= 0:
                ray = _ray(eye, row, column, canvas.shape[0], canvas.shape[1])
                point = ahead(start, depth[row, column], ray)
                normal = normal_at(scene.bodies[i], point)
                if scene.bodies[i].metal:
                    # Neighbouring rays are mirrored to different places of a square: together they blur.
                    right, down = column % 2 * 2 + row // 2 % 2, row % 2 * 2 + column // 2 % 2
                    place = (right / 1.5 - 1, down / 1.5 - 1)
                    light = metal(scene, i, (point, normal), ray, place, shaders)
                else:
                    light = rubber(scene, i, point, normal, shaders_of(shaders, i))
                put(canvas, row, column, light)


@compiled
@no_type_check
def _ray(eye, row, column, rows, columns):
    """The direction of depth 1 through the middle of a pixel, seen as `eye` (EYE or SIGHT) sees it."""
    u = (column + 0.5) * (_WIDE / columns) - _WIDE / 2
    v = (row + 0.5) * (_HIGH / rows) - _HIGH / 2
    axes = eye.axes
    return (
        axes[2, 0] + u * axes[0, 0] + v * axes[1, 0],
        axes[2, 1] + u * axes[0, 1] + v * axes[1, 1],
        axes[2, 2] + u * axes[0, 2] + v * axes[1, 2],
    )


@compiled
@no_type_check
def _cast(scene, owner, depth):
    """Fill `owner` with the body that each ray meets first, -1: none, and `depth` with how far off that is."""
    rows, columns = owner.shape
    owner[:] = -1
    depth[:] = inf
    for i in range(scene.count):
        sight = scene.sights[i]
        shape = scene.bodies[sight.body].shape
        start = (sight.position[0], sight.position[1], sight.position[2])
        for row in range(sight.window[2], sight.window[3]):
            for column in range(sight.window[0], sight.window[1]):
                ray = _ray(sight, row, column, rows, columns)
                t = enter(shape, start, ray)
                if t < depth[row, column]:
                    t = enter_rounded(shape, start, ray, t)
                    if t < depth[row, column]:
                        owner[row, column], depth[row, column] = sight.body, t


@compiled
@no_type_check
def _lay_ground(scene, owner, coarse):
    """Fill the cells of `coarse`, float32 (rows, columns, 3), that a fine pixel of nobody needs, with sRGB."""
    rows, columns, _ = coarse.shape
    needed = _needed(owner, rows, columns)
    for top in range(0, rows, TILE):
        for left in range(0, columns, TILE):
            bottom, right = min(top + TILE, rows), min(left + TILE, columns)
            if needed[top:bottom, left:right].any():
                centre, radius = _ball(scene.eye, (top, bottom - 1), (left, right - 1), (rows, columns))
                shaders = find_shaders(scene, centre, radius, -1)
                for row in range(top, bottom):
                    for column in range(left, right):
                        if needed[row, column]:
                            x, y, _ = _on_ground(scene.eye, row, column, rows, columns)
                            put(coarse, row, column, ground(scene, x, y, shaders))


@compiled
@no_type_check
def _needed(owner, rows, columns):
    """Which cells of the ground's grid some pixel of nobody lies between, bool (rows, columns)."""
    needed = np.zeros((rows, columns), np.bool_)
    height, width = owner.shape
    beside = np.empty((width, 2), np.int64)
    for column in range(width):
        beside[column, 0], beside[column, 1], _ = neighbours(column, width, columns)
    for row in range(height):
        above, below, _ = neighbours(row, height, rows)
        for column in range(width):
            if owner[row, column] < 0:
                left, right = beside[column]
                needed[above, left] = needed[above, right] = needed[below, left] = needed[below, right] = True
    return needed


@compiled
@no_type_check
def _on_ground(eye, row, column, rows, columns):
    """Where the ray through the middle of a cell meets the ground, x and y, and how far away that is."""
    ray = _ray(eye, row, column, rows, columns)
    reach = min(eye.position[2] / max(-ray[2], 1e-3), FARTHEST)
    return eye.position[0] + reach * ray[0], eye.position[1] + reach * ray[1], reach


@compiled
@no_type_check
def _ball(eye, ends, sides, shape):
    """Centre and radius of a ball that holds a tile of the ground. ends, sides: its first and last row and column."""
    rows, columns = shape
    places = (
        _on_ground(eye, ends[0], sides[0], rows, columns),
        _on_ground(eye, ends[0], sides[1], rows, columns),
        _on_ground(eye, ends[1], sides[0], rows, columns),
        _on_ground(eye, ends[1], sides[1], rows, columns),
    )
    x = (places[0][0] + places[1][0] + places[2][0] + places[3][0]) / 4
    y = (places[0][1] + places[1][1] + places[2][1] + places[3][1]) / 4
    square, farthest = 0.0, 0.0
    for place in places:
        square = max(square, (place[0] - x) ** 2 + (place[1] - y) ** 2)
        farthest = max(farthest, place[2])
    # Towards the horizon the places are not on one plane with those between them.
    return (x, y, 0.0), (inf if farthest == FARTHEST else sqrt(square) + 1e-6)
