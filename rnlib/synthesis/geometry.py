"""The objects of a scene as an array, and how rays meet them.

A ray is a point and a direction (any length), each a tuple (x, y, z) of float64. Spheres, cubes and
cylinders are met by closed formulas in the object's own frame: turned by its rotation, its centre the origin,
its radius 1. Edges of cubes and cylinders are rounded by `BEVELS`, as those of CLEVR's shapes are.
Source: the public CLEVR generator (sizes, shapes, rotation in radians).
"""

from math import inf, sqrt
from typing import no_type_check

import numpy as np

from rnlib.clevr.constants import COLORS_RGB, RADII, SHAPES
from rnlib.clevr.schema import Scene
from rnlib.compiled import compiled

SPHERE, CUBE, CYLINDER = (SHAPES.index(name) for name in ("sphere", "cube", "cylinder"))
BOUNDS = np.array([1.0, 3**0.5, 2**0.5])  # radii of the balls that hold the unit shapes; all hold the unit ball
BEVELS = np.array([0.0, 0.2, 0.08])  # radii of the rounded edges, in radii of the object, by shape
BEVEL_STEPS = 5  # of sphere tracing from the sharp shape to the rounded one
THERE = 0.005  # radii of the object from the rounded shape at which a ray is then as good as there
EDGE_STEPS = 60  # more of them for rays that are not there by then
ARRIVED = 1e-6  # so near, no step changes anything: on faces, which are not rounded, the first
NEAR = 0.02  # how near to the rounded shape a ray must come to meet it, in radii of the object
MISSES, UNSURE, COVERED = range(3)
CORNERS = np.array([[i, j, k] for i in (-1.0, 1.0) for j in (-1.0, 1.0) for k in (-1.0, 1.0)])


def body_type(samples: int) -> np.dtype:
    """An object of a scene, as a row of a structured array: from one, machine code reads fastest."""
    return np.dtype(
        [
            ("centre", float, 3),  # world coordinates
            ("radius", float),  # half the height
            ("cos", float),  # of the rotation about z; 1 and 0 where it is round
            ("sin", float),
            ("shape", np.int64),  # of catalogue.SHAPES
            ("bound", float),  # radius of the ball that holds it
            ("metal", bool),
            ("color", float, 3),  # nominal sRGB over 255, which the renderer of CLEVR took for linear light
            ("lights", float, (4, 3, samples)),  # places on each light, in the own frame: filled by `light`
        ],
        align=True,
    )


def bodies_of(scene: Scene, samples: int) -> np.ndarray:
    """The objects of a scene, `body_type` (bodies,); `lights` is left 0."""
    items = scene.objects
    bodies = np.zeros(len(items), body_type(samples))
    bodies["centre"] = np.array([item.coordinates for item in items]).reshape(-1, 3)
    bodies["radius"] = [RADII[item.size] for item in items]
    bodies["shape"] = [SHAPES.index(item.shape) for item in items]
    angle = np.where(bodies["shape"] == CUBE, [item.rotation for item in items], 0.0)
    bodies["cos"], bodies["sin"] = np.cos(angle), np.sin(angle)
    bodies["bound"] = bodies["radius"] * BOUNDS[bodies["shape"]]
    bodies["metal"] = [item.material == "metal" for item in items]
    bodies["color"] = np.array([COLORS_RGB[item.color] for item in items]).reshape(-1, 3) / 255
    return bodies


def in_own_frames(bodies: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """World directions (n, 3), or some for each body (bodies, n, 3), as each body sees them: (bodies, n, 3)."""
    x, y, z = np.moveaxis(np.broadcast_to(vectors, (len(bodies), *vectors.shape[-2:])), 2, 0)
    cos, sin = bodies["cos"][:, None], bodies["sin"][:, None]
    return np.asarray(np.stack([cos * x + sin * y, cos * y - sin * x, z], 2) / bodies["radius"][:, None, None])


def corners(bodies: np.ndarray) -> np.ndarray:
    """Corners of the boxes around the objects, in world coordinates: (bodies, 8, 3)."""
    (cos, sin), (x, y, z) = (bodies["cos"][:, None], bodies["sin"][:, None]), CORNERS.T
    box = np.stack([cos * x - sin * y, sin * x + cos * y, np.broadcast_to(z, (len(cos), len(z)))], 2)
    return np.asarray(bodies["centre"][:, None] + bodies["radius"][:, None, None] * box)


@compiled
@no_type_check
def own_frame(body, vector):
    """A direction, or a place relative to the body's centre, as the body sees it."""
    cos, sin, scale = body.cos, body.sin, 1 / body.radius
    x, y, z = vector
    return (cos * x + sin * y) * scale, (cos * y - sin * x) * scale, z * scale


@compiled
@no_type_check
def relative(body, point):
    """A point in the body's own frame."""
    return own_frame(body, minus(point, body.centre))


@compiled
@no_type_check
def aim(body, point, ray, square, slack):
    """How a bundle of rays is aimed at a body: MISSES it, COVERED by it all, or UNSURE.

    The bundle starts at a point and widens by `slack` to all sides over the length of its middle `ray`, whose
    square is given.
    """
    x, y, z = minus(body.centre, point)
    bound = body.bound
    level, distance = x * ray[0] + y * ray[1] + z * ray[2], x * x + y * y + z * z
    # Most rays pass further off than the bundle is ever wide: seen without dividing. aside: squared, of the body's
    # centre from the middle of the bundle, times square.
    aside = distance * square - level * level
    if aside >= (bound + slack) * (bound + slack) * square:
        return MISSES
    along, aside = level / square, aside / square
    wide = slack * min(max(along, 0.0), 1.0)
    # A bundle leans outwards: its side comes nearer to a ball than it is wide beside the ball's centre.
    reach = bound * sqrt(1 + slack * slack / square)
    # Rays that start within the ball around a body may meet it although its centre lies behind.
    if aside >= (reach + wide) ** 2 or (along <= 0 and distance >= reach * reach):
        return MISSES
    inner = body.radius - wide  # each shape holds a ball of its radius
    if inner > 0 and aside < inner * inner and 0 < along < 1 and distance > bound * bound:
        return COVERED
    return UNSURE


@compiled
@no_type_check
def enter(shape, start, ray):
    """The ray parameter where a ray in the own frame of a body enters it; infinite where it misses. Edges are sharp."""
    if shape == SPHERE:
        a, b, c = dot(ray, ray), dot(start, ray), dot(start, start) - 1
        root = b * b - a * c
        return (-b - sqrt(root)) / a if root > 0 else inf
    bottom, top = _slab(start[2], ray[2])
    if shape == CUBE:
        (left, right), (front, back) = _slab(start[0], ray[0]), _slab(start[1], ray[1])
        first, last = max(left, front, bottom), min(right, back, top)
        return first if first < last else inf
    a = max(ray[0] * ray[0] + ray[1] * ray[1], 1e-12)
    b = start[0] * ray[0] + start[1] * ray[1]
    square = b * b - a * (start[0] * start[0] + start[1] * start[1] - 1)
    if square <= 0:
        return inf
    root = sqrt(square)
    first, last = max((-b - root) / a, bottom), min((-b + root) / a, top)
    return first if first < last else inf


@compiled
@no_type_check
def _slab(start, ray):
    """Ray parameters of entering and leaving -1 <= coordinate <= 1."""
    inverse = 1 / (1e-6 if abs(ray) < 1e-6 else ray)
    one, other = (-1 - start) * inverse, (1 - start) * inverse
    return min(one, other), max(one, other)


@compiled
@no_type_check
def enter_rounded(shape, start, ray, t):
    """From where a ray enters the sharp shape, `t`, on to the rounded one within it; infinite where it passes its edge.

    By sphere tracing: the distance to the rounded shape can be gone without meeting it.
    """
    bevel = BEVELS[shape]
    if bevel == 0 or t == inf:
        return t
    core = 1 - bevel
    speed = sqrt(dot(ray, ray))
    gap = 0.0
    for step in range(BEVEL_STEPS + EDGE_STEPS):  # along an edge the steps are short
        x, y, z = start[0] + t * ray[0], start[1] + t * ray[1], start[2] + t * ray[2]
        above = max(abs(z) - core, 0.0)
        if shape == CUBE:
            beside, before = max(abs(x) - core, 0.0), max(abs(y) - core, 0.0)
            gap = sqrt(beside * beside + before * before + above * above) - bevel
        else:
            beside = max(sqrt(x * x + y * y) - core, 0.0)
            gap = sqrt(beside * beside + above * above) - bevel
        t += max(gap, 0.0) / speed
        if gap < ARRIVED or (step == BEVEL_STEPS - 1 and gap < THERE):
            return t
    return t if gap < NEAR else inf


@compiled
@no_type_check
def normal_at(body, point):
    """Outward unit normal of the rounded shape at a point on it, in world coordinates."""
    x, y, z = relative(body, point)
    shape = body.shape
    if shape == SPHERE:
        return unit((x, y, z))
    # The vector from the shape's core, which lies a bevel inside, to the point. 1e-4: never the zero vector.
    core = 1 - BEVELS[shape]
    if shape == CUBE:
        x, y = _beyond(x, core), _beyond(y, core)
    else:
        out = max(sqrt(x * x + y * y), 1e-4)
        part = max(out - core, 1e-4) / out
        x, y = x * part, y * part
    cos, sin = body.cos, body.sin
    return unit((cos * x - sin * y, sin * x + cos * y, _beyond(z, core)))


@compiled
@no_type_check
def _beyond(coordinate, core):
    beyond = max(abs(coordinate) - core, 1e-4)
    return beyond if coordinate > 0 else -beyond


@compiled
@no_type_check
def dot(one, other):
    return one[0] * other[0] + one[1] * other[1] + one[2] * other[2]


@compiled
@no_type_check
def minus(one, other):
    return one[0] - other[0], one[1] - other[1], one[2] - other[2]


@compiled
@no_type_check
def unit(vector):
    """The vector of length 1 in the same direction; of (0, 0, 0): (0, 0, 0)."""
    scale = 1 / sqrt(max(dot(vector, vector), 1e-12))
    return vector[0] * scale, vector[1] * scale, vector[2] * scale


@compiled
@no_type_check
def ahead(start, t, ray):
    """The point at parameter t of a ray."""
    return start[0] + t * ray[0], start[1] + t * ray[1], start[2] + t * ray[2]
