"""The objects of a batch of scenes as tensors, and how rays meet them.

A ray is a point and a direction (any length); a pair is a ray and an object that it may meet.
Spheres, cubes and cylinders are met by closed formulas in the object's own frame: turned by its
rotation, its centre the origin, its radius 1. Edges of cubes and cylinders are rounded by
`BEVELS`, as those of CLEVR's shapes are. Source: the public CLEVR generator (sizes, shapes, rotation in radians).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from rnlib.clevr.catalogue import COLORS_RGB, RADII, SHAPES
from rnlib.synthesis.scenes import Scene

SPHERE, CUBE, CYLINDER = (SHAPES.index(name) for name in ("sphere", "cube", "cylinder"))
BOUNDS = (1.0, 3**0.5, 2**0.5)  # radii of the balls that hold the unit shapes
BEVELS = (0.0, 0.2, 0.08)  # radii of the rounded edges, in radii of the object, by shape
BEVEL_STEPS = 5  # of sphere tracing from the sharp shape to the rounded one
THERE = 0.005  # radii of the object from the rounded shape at which a ray is as good as there
EDGE_STEPS = 60  # more of them for rays that are not there by then
NEAR = 0.02  # how near to the rounded shape a ray must come to meet it, in radii of the object
CORNERS = [[i, j, k] for i in (-1.0, 1.0) for j in (-1.0, 1.0) for k in (-1.0, 1.0)]

Vectors = Float[Tensor, "3 ..."]  # x, y, z (or red, green, blue) first: each lies in one piece
Triple = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Bodies:
    """All objects of some scenes, a row (or column) each.

    scene: number of its scene. centre: world coordinates. radius: half its height. cos, sin: of its
    rotation about z (1 and 0 where it is round). bound: radius of the ball that holds it. color: its
    nominal sRGB over 255, which the renderer of CLEVR took for linear light. slots: the
    rows of each scene's objects, -1 where it has fewer.
    """

    scene: Int[Tensor, " bodies"]
    centre: Float[Tensor, "3 bodies"]
    radius: Float[Tensor, " bodies"]
    cos: Float[Tensor, " bodies"]
    sin: Float[Tensor, " bodies"]
    shape: Int[Tensor, " bodies"]
    bound: Float[Tensor, " bodies"]
    metal: Bool[Tensor, " bodies"]
    color: Float[Tensor, "3 bodies"]
    slots: Int[Tensor, "slots scenes"]

    @classmethod
    def of(cls, scenes: Sequence[Scene], device: torch.device | str) -> "Bodies":
        """The objects of scenes as they stand in CLEVR's files."""
        items = [(number, item) for number, scene in enumerate(scenes) for item in scene["objects"]]
        sizes = [len(scene["objects"]) for scene in scenes]
        slots = torch.full((max(sizes), len(scenes)), -1)
        row = 0
        for number, size in enumerate(sizes):
            slots[:size, number] = torch.arange(row, row + size)
            row += size
        shape = torch.tensor([SHAPES.index(item["shape"]) for _, item in items])
        radius = torch.tensor([RADII[item["size"]] for _, item in items])
        angle = torch.tensor([item["rotation"] for _, item in items], dtype=torch.float64)
        angle = torch.where(shape == CUBE, angle, 0.0)
        columns = (
            torch.tensor([number for number, _ in items]),
            torch.tensor([item["3d_coords"] for _, item in items], dtype=torch.float32).T.contiguous(),
            radius,
            angle.cos().float(),
            angle.sin().float(),
            shape,
            radius * torch.tensor(BOUNDS)[shape],
            torch.tensor([item["material"] == "metal" for _, item in items]),
            torch.tensor([COLORS_RGB[item["color"]] for _, item in items]).T.contiguous() / 255,
            slots,
        )
        return cls(*(column.to(device) for column in columns))

    def corners(self) -> Float[Tensor, "3 bodies 8"]:
        """Corners of the boxes around the objects, in world coordinates."""
        ux, uy, uz = torch.tensor(CORNERS, device=self.centre.device).T
        cos, sin = self.cos[:, None], self.sin[:, None]
        box = torch.stack([cos * ux - sin * uy, sin * ux + cos * uy, uz.expand(len(cos), -1)])
        return self.centre[..., None] + self.radius[:, None] * box

    def meet(self, body: Int[Tensor, " pairs"], start: Vectors, ray: Vectors, *, rounded: bool = False) -> Tensor:
        """Ray parameters where rays enter their bodies; infinite where they miss.

        start, ray: (3, pairs), or (3, pairs, 1) and (3, pairs, rays). rounded: of the shapes with rounded edges.
        """
        result = ray.new_full(ray.shape[1:], torch.inf)
        for shape in (SPHERE, CUBE, CYLINDER):
            rows = torch.nonzero(self.shape[body] == shape)[:, 0]
            if len(rows):
                which = body[rows]
                centre = self.centre[:, which]
                begin = self._own_frame(which, start[:, rows] - (centre if start.dim() == 2 else centre[..., None]))
                along = self._own_frame(which, ray[:, rows])
                t = _ENTER[shape](begin, along)
                if rounded and shape != SPHERE:
                    t = _round(shape, begin, along, t)
                result[rows] = t
        return result

    def normal(self, body: Int[Tensor, " pairs"], points: Float[Tensor, "3 pairs"]) -> Float[Tensor, "3 pairs"]:
        """Outward unit normals of the rounded shapes at points on them."""
        x, y, z = self._own_frame(body, points - self.centre[:, body])
        shape = self.shape[body]
        core = 1 - self.centre.new_tensor(BEVELS)[shape]
        cube, tube = shape == CUBE, shape == CYLINDER
        # The vector from the shape's core, which lies a bevel inside, to the point. 1e-4: never the zero vector.
        edge = [c.sign() * (c.abs() - core).clamp(min=1e-4) for c in (x, y, z)]
        out = (x * x + y * y).sqrt().clamp(min=1e-4)
        part = (out - core).clamp(min=1e-4) / out
        x = torch.where(cube, edge[0], torch.where(tube, x * part, x))
        y = torch.where(cube, edge[1], torch.where(tube, y * part, y))
        z = torch.where(cube | tube, edge[2], z)
        cos, sin = self.cos[body], self.sin[body]
        return unit(torch.stack([cos * x - sin * y, sin * x + cos * y, z]))

    def _own_frame(self, body: Tensor, vectors: Vectors) -> Triple:
        cos, sin, scale = self.cos[body], self.sin[body], 1 / self.radius[body]
        if vectors.dim() == 3:
            cos, sin, scale = cos[:, None], sin[:, None], scale[:, None]
        x, y, z = vectors.unbind()
        return (cos * x + sin * y) * scale, (cos * y - sin * x) * scale, z * scale


class Rows:
    """Which scene each of some rows (points, rays) belongs to.

    Where all scenes have equally many rows, in order, what a scene has is spread without look-up.
    """

    def __init__(self, scene: Int[Tensor, " rows"], even: bool = False) -> None:
        self.scene = scene
        self._even = even

    def of(self, table: Tensor) -> Tensor:
        """A table's column of each row's scene: (..., scenes) -> (..., rows)."""
        if self._even:
            return table.repeat_interleave(len(self.scene) // table.shape[-1], -1)
        return table[..., self.scene]


def unit(vectors: Vectors) -> Vectors:
    """Vectors of length 1 in the same directions; of (0, 0, 0): (0, 0, 0)."""
    x, y, z = vectors
    return vectors * (x * x + y * y + z * z).clamp(min=1e-12).rsqrt()


def _enter_sphere(start: Triple, ray: Triple) -> Tensor:
    a = ray[0] ** 2 + ray[1] ** 2 + ray[2] ** 2
    b = start[0] * ray[0] + start[1] * ray[1] + start[2] * ray[2]
    c = start[0] ** 2 + start[1] ** 2 + start[2] ** 2 - 1
    root = b * b - a * c
    return torch.where(root > 0, (-b - root.clamp(min=0).sqrt()) / a, torch.inf)


def _slab(start: Tensor, ray: Tensor) -> tuple[Tensor, Tensor]:
    """Ray parameters of entering and leaving -1 <= coordinate <= 1."""
    inverse = 1 / torch.where(ray.abs() < 1e-6, 1e-6, ray)
    one, other = (-1 - start) * inverse, (1 - start) * inverse
    return torch.minimum(one, other), torch.maximum(one, other)


def _enter_cube(start: Triple, ray: Triple) -> Tensor:
    x, y, z = (_slab(a, d) for a, d in zip(start, ray, strict=True))
    enter = torch.maximum(torch.maximum(x[0], y[0]), z[0])
    leave = torch.minimum(torch.minimum(x[1], y[1]), z[1])
    return torch.where(enter < leave, enter, torch.inf)


def _enter_cylinder(start: Triple, ray: Triple) -> Tensor:
    a = (ray[0] ** 2 + ray[1] ** 2).clamp(min=1e-12)
    b = start[0] * ray[0] + start[1] * ray[1]
    square = b * b - a * (start[0] ** 2 + start[1] ** 2 - 1)
    root = square.clamp(min=0).sqrt()
    bottom, top = _slab(start[2], ray[2])
    enter, leave = torch.maximum((-b - root) / a, bottom), torch.minimum((-b + root) / a, top)
    return torch.where((square > 0) & (enter < leave), enter, torch.inf)


_ENTER = {SPHERE: _enter_sphere, CUBE: _enter_cube, CYLINDER: _enter_cylinder}


def _round(shape: int, start: Triple, ray: Triple, t: Tensor) -> Tensor:
    """From where rays enter a sharp shape on to the rounded one within it; infinite where they pass its edge by."""
    hits = torch.nonzero(t.isfinite(), as_tuple=True)
    at = t[hits]
    here = [component.expand_as(t)[hits] for component in start]
    along = [component.expand_as(t)[hits] for component in ray]
    speed = (along[0] ** 2 + along[1] ** 2 + along[2] ** 2).sqrt()
    at, gap = _trace(shape, here, along, speed, at, BEVEL_STEPS)
    slow = torch.nonzero(gap >= THERE)[:, 0]  # along an edge the steps are short
    there, further = ([component[slow] for component in vector] for vector in (here, along))
    at[slow], gap[slow] = _trace(shape, there, further, speed[slow], at[slow], EDGE_STEPS)
    result = t.clone()
    result[hits] = torch.where(gap < NEAR, at, torch.inf)
    return result


def _trace(
    shape: int, start: list[Tensor], ray: list[Tensor], speed: Tensor, at: Tensor, steps: int
) -> tuple[Tensor, Tensor]:
    """Sphere tracing: `at` after so many steps, and how far the rounded shape was before the last of them."""
    core = 1 - BEVELS[shape]
    gap = torch.zeros_like(at)
    for _ in range(steps):
        x, y, z = (a + at * d for a, d in zip(start, ray, strict=True))
        out = (x.abs() - core, y.abs() - core) if shape == CUBE else ((x * x + y * y).sqrt() - core,)
        beyond = torch.stack([*out, z.abs() - core]).clamp(min=0)
        gap = (beyond * beyond).sum(0).sqrt() - BEVELS[shape]
        at = at + gap.clamp(min=0) / speed
    return at, gap
