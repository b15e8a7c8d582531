"""Scenes: 1-10 objects placed by CLEVR's rules, the camera before them, and their spatial relations.

World coordinates are Blender units, right-handed, z up, ground at z = 0. Source of the
numbers: Johnson et al. 2017, section 3, and the CLEVR v1.0 generator's settings
(FACTS 5: distances, margins, camera, directions).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from rnlib.clevr.catalogue import COLORS, DIRECTIONS, HALF_WIDTH, MATERIALS, RADII, RELATIONS, SHAPES

Scene = dict[str, Any]  # a scene as it stands in CLEVR_{split}_scenes.json
Vector = np.ndarray  # float64, shape (3,)

GAP = 0.25  # least room between two objects, their radii taken off
MARGIN = 0.4  # least separation along each cardinal direction
RELATION_THRESHOLD = 0.2  # j is left of i when (c_j - c_i) . left exceeds this
LEAST_VISIBLE = 200  # pixels of a 480x320 picture that must show an object
MOST_OBJECTS = 10

CAMERA = (7.4811, -6.5076, 5.3437)
CAMERA_JITTER = 0.5
FOCAL = 35 / 32  # focal length over the width of the sensor

_CARDINAL = np.array([DIRECTIONS["right"][:2], DIRECTIONS["front"][:2]])


@dataclass(frozen=True)
class Camera:
    """A pinhole camera aimed at the origin, up = +z."""

    position: Vector

    @cached_property
    def axes(self) -> np.ndarray:
        """Rows right, down and forward (unit vectors), shape (3, 3)."""
        forward = -self.position / np.linalg.norm(self.position)
        right = np.cross(forward, (0.0, 0.0, 1.0))
        right /= np.linalg.norm(right)
        return np.stack([right, np.cross(forward, right), forward])

    def project(self, points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """World points (n, 3) -> (n, 3): pixel x, pixel y, depth along the viewing axis."""
        right, down, depth = ((points - self.position) @ self.axes.T).T
        focal = focal_pixels(size)
        return np.stack([size[0] / 2 + focal * right / depth, size[1] / 2 + focal * down / depth, depth], axis=1)


def focal_pixels(size: tuple[int, int]) -> float:
    """Focal length in pixels of a picture of `size` (width, height)."""
    return FOCAL * max(size)


def sample_scene(rng: np.random.Generator, objects: tuple[int, int], size: tuple[int, int]) -> tuple[Scene, Camera]:
    """Draw a scene without names (split, image_index, image_filename are the writer's) and its camera.

    objects: fewest and most objects, both included. size: (width, height) of the picture, for pixel_coords.
    """
    n = int(rng.integers(objects[0], objects[1] + 1))
    camera = Camera(np.array(CAMERA) + rng.uniform(-CAMERA_JITTER, CAMERA_JITTER, 3))
    while True:
        sizes = ["large" if large else "small" for large in rng.integers(2, size=n)]
        radii = np.array([RADII[name] for name in sizes])
        ground = _place(rng, radii)
        if ground is None:
            continue
        centres = np.column_stack([ground, radii])
        if _all_visible(camera, centres, radii):
            break
    shapes, colors, materials = (rng.integers(len(values), size=n) for values in (SHAPES, COLORS, MATERIALS))
    rotations = rng.uniform(0.0, 360.0, n)
    pixels = camera.project(centres, size)
    made = [
        {
            "3d_coords": centres[i].tolist(),
            "pixel_coords": [round(float(pixels[i, 0])), round(float(pixels[i, 1])), float(pixels[i, 2])],
            "rotation": float(rotations[i]),
            "size": sizes[i],
            "color": COLORS[colors[i]],
            "material": MATERIALS[materials[i]],
            "shape": SHAPES[shapes[i]],
        }
        for i in range(n)
    ]
    directions = {name: list(direction) for name, direction in DIRECTIONS.items()}
    return {"objects": made, "relationships": relationships(centres), "directions": directions}, camera


def relationships(centres: np.ndarray) -> dict[str, list[list[int]]]:
    """For each relation and each object i of `centres` (n, 3): the objects that lie in that direction from i."""
    result = {}
    for name in RELATIONS:
        along = centres @ np.array(DIRECTIONS[name])
        beyond = along[None, :] - along[:, None] > RELATION_THRESHOLD
        result[name] = [np.flatnonzero(row).tolist() for row in beyond]
    return result


def _place(rng: np.random.Generator, radii: np.ndarray) -> np.ndarray | None:
    """Places (n, 2) that keep CLEVR's distances and margins, or None where 100 draws for one object all failed."""
    places = np.empty((len(radii), 2))
    for i, radius in enumerate(radii):
        for place in rng.uniform(-HALF_WIDTH, HALF_WIDTH, (100, 2)):
            offsets = places[:i] - place
            apart = np.hypot(offsets[:, 0], offsets[:, 1]) >= GAP + radius + radii[:i]
            if apart.all() and (np.abs(offsets @ _CARDINAL.T) >= MARGIN).all():
                places[i] = place
                break
        else:
            return None
    return places


def _all_visible(camera: Camera, centres: np.ndarray, radii: np.ndarray) -> bool:
    """Whether each object shows LEAST_VISIBLE pixels of a 480x320 picture, objects taken for spheres.

    Counted on a grid of every 4th pixel: discs are painted from far to near.
    """
    step, size = 4, (480, 320)
    pixels = camera.project(centres, size)
    y, x = np.mgrid[step / 2 : size[1] : step, step / 2 : size[0] : step]
    owner = np.full(x.shape, -1)
    for i in np.argsort(-pixels[:, 2]):
        disc = (x - pixels[i, 0]) ** 2 + (y - pixels[i, 1]) ** 2 < (focal_pixels(size) * radii[i] / pixels[i, 2]) ** 2
        owner[disc] = i
    seen = np.bincount(owner[owner >= 0], minlength=len(radii))
    return bool((seen * step**2 >= LEAST_VISIBLE).all())
