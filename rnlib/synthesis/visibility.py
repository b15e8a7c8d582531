"""How many pixels of CLEVR's 480x320 picture show each object, by casting a ray through each pixel's centre.

CLEVR's cubes and cylinders have rounded edges. Here they are sharp, and as much smaller as makes
their outlines fit those of 100 pictures of the public generator best (OUTLINE).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rnlib.clevr.constants import RADII, VIEW
from rnlib.clevr.schema import Scene
from rnlib.synthesis.camera import Camera, focal_pixels

OUTLINE = {"sphere": 1.0, "cube": 0.955, "cylinder": 0.985}  # times an object's radius

_CORNERS = np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)])
_COARSE = 3  # large objects are first counted on every third pixel of every third row
_FOCAL = focal_pixels(VIEW)
_COLUMNS, _ROWS = ((np.arange(length) + 0.5 - length / 2) / _FOCAL for length in VIEW)


@dataclass(frozen=True)
class Solids:
    """What objects take up in space: a shape and three arrays of a value an object."""

    shapes: Sequence[str]  # of catalogue.SHAPES
    centres: np.ndarray  # float64, (objects, 3)
    radii: np.ndarray  # of sphere and cylinder, half the edge of a cube, half the height of all
    turns: np.ndarray  # about the vertical axis, in radians; matters for cubes only

    @classmethod
    def of_scene(cls, scene: Scene) -> "Solids":
        """The objects of a scene."""
        return cls(
            [item.shape for item in scene.objects],
            np.array([item.coordinates for item in scene.objects]),
            np.array([RADII[item.size] for item in scene.objects]),
            np.array([item.rotation for item in scene.objects]),  # CLEVR takes this number for radians
        )


def visible_pixels(camera: Camera, solids: Solids) -> np.ndarray:
    """Pixels of a 480x320 picture that show each object, int64 (objects,)."""
    return _Sight(camera, solids).counts()


def all_visible(camera: Camera, solids: Solids, least: int) -> bool:
    """Whether `visible_pixels` is `least` or more for every object, found without counting what is beyond doubt."""
    return _Sight(camera, solids).all_show(least)


class _Sight:
    """Each object's rectangle on the screen, and which others may hide a part of it."""

    def __init__(self, camera: Camera, solids: Solids) -> None:
        self.solids = solids
        self.right, self.down, self.forward = camera.axes
        cos, sin = np.cos(solids.turns), np.sin(solids.turns)
        for i, shape in enumerate(solids.shapes):
            if shape != "cube":
                cos[i], sin[i] = 1.0, 0.0
        radii = self.radii = solids.radii * [OUTLINE[shape] for shape in solids.shapes]
        self.turned = np.stack([cos, sin], axis=1).tolist()
        # The camera, as each object sees it: its centre the origin, its radius 1, its edges along the axes.
        x, y, z = (camera.position - solids.centres).T / radii
        self.origins = np.stack([cos * x + sin * y, cos * y - sin * x, z], axis=1).tolist()
        # The box around each object, on the screen and in depth.
        x, y, z = radii[:, None] * _CORNERS.T[:, None, :]
        x, y = cos[:, None] * x - sin[:, None] * y, sin[:, None] * x + cos[:, None] * y
        corners = np.stack([x, y, z], axis=2) + solids.centres[:, None, :]
        across, along, depth = np.moveaxis((corners - camera.position) @ camera.axes.T, 2, 0)
        screen = np.stack([across / depth, along / depth]) * _FOCAL + np.array(VIEW)[:, None, None] / 2
        self.low, self.high = screen.min(2), screen.max(2)  # (2, objects), in pixels
        self.depths = (solids.centres - camera.position) @ self.forward
        common = np.minimum(self.high[:, :, None], self.high[:, None, :]) - np.maximum(
            self.low[:, :, None], self.low[:, None, :]
        )
        nearer = depth.min(1)[None, :] < depth.max(1)[:, None]
        np.fill_diagonal(nearer, False)
        self.hides = nearer & (common > 0).all(0)  # [i, j]: j may hide a part of i
        self.common = np.where(self.hides, (common[0] + 1) * (common[1] + 1), 0.0)  # at most so many pixels of i

    def counts(self) -> np.ndarray:
        return np.array([self._count(i, 1) for i in range(len(self.solids.shapes))])

    def all_show(self, least: int) -> bool:
        # Each shape holds the sphere of its radius, which shows at least this many pixels; at the worst all that
        # lies behind another object's rectangle is hidden.
        disc = _FOCAL * self.radii / self.depths - 0.71
        surely = np.pi * disc**2 - self.common.sum(1)
        outside = (self.low < 0).any(0) | (self.high > np.array(VIEW)[:, None]).any(0)
        doubtful = np.flatnonzero((surely < least) | outside)
        for i in doubtful[np.argsort(surely[doubtful])].tolist():
            if np.pi * disc[i] ** 2 > 2 * _COARSE**2 * least and self._count(i, _COARSE) >= least:
                continue
            if self._count(i, 1) < least:
                return False
        return True

    def _count(self, i: int, step: int) -> int:
        """Pixels that show object i, out of every `step`-th of every `step`-th row of its rectangle."""
        (left, top), (right, bottom) = self.low[:, i], self.high[:, i]
        u = _COLUMNS[max(int(left), 0) : max(int(right) + 1, 0) : step]
        v = _ROWS[max(int(top), 0) : max(int(bottom) + 1, 0) : step]
        rays = self.forward[:, None, None] + self.right[:, None, None] * u + self.down[:, None, None] * v[:, None]
        rays = rays.reshape(3, -1)
        distance = self._meet(i, rays)
        hit = np.flatnonzero(distance < np.inf)
        for j in np.flatnonzero(self.hides[i]).tolist():
            if not len(hit):
                break
            hit = hit[self._meet(j, rays[:, hit]) >= distance[hit]]
        return len(hit)

    def _meet(self, i: int, rays: np.ndarray) -> np.ndarray:
        """How far along each ray (3, rays) object i is met, in units of the ray; infinity where it is missed."""
        x, y, z = rays
        if self.solids.shapes[i] == "cube":
            cos, sin = self.turned[i]
            x, y = cos * x + sin * y, cos * y - sin * x
        with np.errstate(divide="ignore", invalid="ignore"):
            return _MEET[self.solids.shapes[i]](self.origins[i], x, y, z) * self.radii[i]


def _meet_sphere(origin: Sequence[float], x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Where rays from `origin` outside it first meet the unit sphere: |origin + t ray| = 1."""
    a = x * x + y * y + z * z
    b = origin[0] * x + origin[1] * y + origin[2] * z
    c = origin[0] ** 2 + origin[1] ** 2 + origin[2] ** 2 - 1
    root = b * b - a * c
    return np.where(root > 0, (-b - np.sqrt(root)) / a, np.inf)


def _meet_cube(origin: Sequence[float], x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """As _meet_sphere, for the cube from -1 to 1."""
    (x_in, x_out), (y_in, y_out), (z_in, z_out) = (_between(o, ray) for o, ray in zip(origin, (x, y, z), strict=True))
    enter = np.maximum(np.maximum(x_in, y_in), z_in)
    return np.where(enter < np.minimum(np.minimum(x_out, y_out), z_out), enter, np.inf)


def _meet_cylinder(origin: Sequence[float], x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """As _meet_sphere, for the upright cylinder of radius 1 from z = -1 to 1."""
    a = x * x + y * y
    b = origin[0] * x + origin[1] * y
    square = b * b - a * (origin[0] ** 2 + origin[1] ** 2 - 1)
    root = np.sqrt(square)
    bottom, top = _between(origin[2], z)
    enter = np.maximum((-b - root) / a, bottom)
    return np.where((square > 0) & (enter < np.minimum((-b + root) / a, top)), enter, np.inf)


def _between(origin: float, ray: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where rays enter and leave the slab from -1 to 1 of one coordinate."""
    one, other = (-1 - origin) / ray, (1 - origin) / ray
    return np.minimum(one, other), np.maximum(one, other)


_MEET = {"sphere": _meet_sphere, "cube": _meet_cube, "cylinder": _meet_cylinder}
