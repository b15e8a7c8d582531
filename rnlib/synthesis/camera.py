"""How a scene is seen: the camera and the three lamps, both jittered from scene to scene.

World coordinates are Blender units, right-handed, z up, ground at z = 0. Source of the
numbers: the CLEVR v1.0 generator's settings (camera, lights).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rnlib.clevr.constants import VIEW

Vector = np.ndarray  # float64, shape (3,)

CAMERA = (7.4811, -6.5076, 5.3437)
CAMERA_JITTER = 0.5
LAMPS = np.array([(6.45, -2.91, 4.26), (-4.67, -4.01, 3.01), (-1.17, 2.65, 5.82)])  # key, fill, back
LAMP_JITTER = 1.0
FOCAL = 35 / 32  # focal length over the width of the sensor


@dataclass(frozen=True)
class Camera:
    """A pinhole camera aimed at the origin, up = +z.

    shape: width and height of its view in pixels, which are square; the view is squeezed to the size of a picture.
    """

    position: Vector
    shape: tuple[int, int] = VIEW

    @cached_property
    def axes(self) -> np.ndarray:
        """Rows right, down and forward (unit vectors), shape (3, 3)."""
        forward = -self.position / np.linalg.norm(self.position)
        right = np.cross(forward, (0.0, 0.0, 1.0))
        right /= np.linalg.norm(right)
        return np.stack([right, np.cross(forward, right), forward])

    def project(self, points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """World points (n, 3) -> (n, 3): pixel x, pixel y, depth along the viewing axis.

        The picture shows the camera's view (CLEVR's: 3:2), squeezed to `size` (width, height) in pixels.
        """
        right, down, depth = ((points - self.position) @ self.axes.T).T
        (width, height), focal = self.shape, focal_pixels(self.shape)
        x = width / 2 + focal * right / depth
        y = height / 2 + focal * down / depth
        return np.stack([x * size[0] / width, y * size[1] / height, depth], axis=1)


@dataclass(frozen=True)
class View:
    """What a picture needs beside the scene: its camera, and the places of key, fill and back lamp, float64 (3, 3)."""

    camera: Camera
    lamps: np.ndarray


def sample_view(rng: np.random.Generator) -> View:
    """Camera and lamps, each moved uniformly by up to their jitter along each axis."""
    camera = Camera(np.array(CAMERA) + rng.uniform(-CAMERA_JITTER, CAMERA_JITTER, 3))
    return View(camera, LAMPS + rng.uniform(-LAMP_JITTER, LAMP_JITTER, (3, 3)))


def focal_pixels(size: tuple[int, int]) -> float:
    """Focal length in pixels of a picture of `size` (width, height) with square pixels."""
    return FOCAL * max(size)
