"""What the surfaces of CLEVR send towards the camera: grey ground, rubber and metal.

Rubber is diffuse, with a trace of white gloss. Metal is a coloured mirror: of the ground, of the other objects,
of the lit backdrop behind the scene and the dark room elsewhere, and of the lamps, blurred. The
constants were fitted with those of `light`: for metal, to the light that genuine spheres mirror in
each direction. All light is linear RGB, (3, rows).
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from rnlib.clevr.catalogue import DIRECTIONS
from rnlib.synthesis.bodies import Bodies, Rows, Vectors, unit
from rnlib.synthesis.light import AMBIENT, POWERS, falling, near_rays

Lamps = Float[Tensor, "scenes lamps 3"]

# Near an object, within NEAR of its radii, the ground sees it instead of the open: NEARNESS of its view right at it.
NEAR, NEARNESS = 2.5, 0.8
BLEED = 0.12  # light that an object throws back on the ground which sees nothing else, in units of its colour
# An object's foot keeps the lamps away from the ground under it: none at so many radii of its middle (of spheres,
# cubes, cylinders), all at CREVICE of that.
FEET = (0.6, 1.2, 1.05)
CREVICE = 0.6
DIFFUSE, DIFFUSE_SUN = 1.28, 1.25  # of rubber, in units of its colour
FROM_BELOW, FROM_AROUND = 0.147, 0.052  # light that the ground, and everything, sends to rubber
GLOSS = 0.026

MIRROR = 0.98  # of the light that metal mirrors, in units of its colour
BLUR = 0.03  # how far mirrored rays are spread
BACKDROP, ROOM = 0.14, 0.025
# Images of key, fill and back lamp in metal: strengths, and the width as 1 - cos of the angle.
LOBES = (((45.0, 20.0, 35.0), 0.003), ((0.22, 0.18, 0.22), 0.03), ((0.20, 0.02, 0.04), 0.2))
METAL_IN_METAL = 0.2  # light of a metal object seen in another, in units of its colour


def ground(bodies: Bodies, lamps: Lamps, rows: Rows, points: Vectors) -> Vectors:
    """The ground at `points` (z = 0), with shadows of the lamps, and what near objects take and throw back."""
    up = torch.zeros_like(points)
    up[2] = 1
    light = falling(bodies, lamps, rows, points, up)
    foot = torch.ones_like(points[0])
    around = torch.full_like(points, AMBIENT)
    radius = bodies.radius[bodies.slots].masked_fill(bodies.slots < 0, 1e-3)
    feet = points.new_tensor(FEET)[bodies.shape[bodies.slots]]
    for slot in range(len(bodies.slots)):
        which = bodies.slots[slot]
        x, y = rows.of(bodies.centre[:2, which]) - points[:2]
        level = (x * x + y * y) * rows.of(radius[slot] ** -2)
        part = (1 - level / NEAR**2).clamp(min=0)
        around += NEARNESS * part**4 * (BLEED * rows.of(bodies.color[:, which]) - around)
        under = level * rows.of(feet[slot] ** -2)
        foot *= ((under - CREVICE**2) / (1 - CREVICE**2)).clamp(0, 1)
    return foot * (light.lamps + light.sun) + around


def rubber(bodies: Bodies, lamps: Lamps, own: Int[Tensor, " rows"], points: Vectors, normal: Vectors) -> Vectors:
    """Points on the rubber objects `own`."""
    light = falling(bodies, lamps, Rows(bodies.scene[own]), points, normal, own)
    around = FROM_BELOW * (1 - normal[2]) / 2 + FROM_AROUND
    body = DIFFUSE * light.lamps + DIFFUSE_SUN * light.sun + around
    return bodies.color[:, own] * body + GLOSS * light.lamps


def metal(
    bodies: Bodies,
    lamps: Lamps,
    own: Int[Tensor, " rows"],
    points: Vectors,
    normal: Vectors,
    view: Vectors,
    spread: Float[Tensor, "2 rows"],
) -> Vectors:
    """Points on the metal objects `own`.

    view: from the camera to the points, any length. spread: -1..1, where in its blur each ray is mirrored.
    """
    rows = Rows(bodies.scene[own])
    view = unit(view)
    ray = view - 2 * (view * normal).sum(0) * normal
    shine = torch.zeros_like(points)
    for number, power in enumerate(POWERS):
        to = unit(rows.of(lamps[:, number].T) - points)
        beside = 1 - (to * ray).sum(0)
        strength = sum(lobe[number] * torch.exp(-beside / width) for lobe, width in LOBES)
        tint = points.new_tensor(power) * (3 / sum(power))
        shine += strength * tint[:, None]

    side = unit(torch.stack([-ray[1], ray[0], torch.zeros_like(ray[0])]))
    over = torch.linalg.cross(ray, side, dim=0)
    ray = unit(ray + BLUR * (spread[0] * side + spread[1] * over))

    light = shine + _surroundings(ray)
    down = torch.nonzero(ray[2] < 0)[:, 0]
    reach = (points[2, down] / -ray[2, down].clamp(max=-1e-3)).clamp(max=40.0)
    at = points[:, down] + reach * ray[:, down]
    at[2] = 0
    light[:, down] = ground(bodies, lamps, Rows(rows.scene[down]), at) * _fading(ray[:, down])

    other, which = near_rays(bodies, rows, points, ray, own)
    t = bodies.meet(which, points[:, other], ray[:, other])
    nearest = torch.full_like(points[0], torch.inf).scatter_reduce(0, other, t, "amin")
    first = torch.nonzero(t.isfinite() & (t == nearest[other]))[:, 0]
    other, which, t = other[first], which[first], t[first]
    hit = points[:, other] + t * ray[:, other]
    seen = MIRROR * rubber(bodies, lamps, which, hit, bodies.normal(which, hit))
    light[:, other] = torch.where(bodies.metal[which], METAL_IN_METAL * bodies.color[:, which], seen)
    return bodies.color[:, own] * light


def _surroundings(ray: Vectors) -> Vectors:
    """The room that upward unit rays meet: a lit backdrop behind the scene, near darkness elsewhere."""
    up = ray[2].clamp(min=0)
    backdrop = BACKDROP * (1 - 0.75 * up**1.5)
    room = ROOM + 0.03 * torch.exp(-up / 0.06)
    return torch.lerp(room, backdrop, _behind(ray)).expand(3, -1).clone()


def _fading(ray: Vectors) -> Tensor:
    """Part of the ground's light that metal mirrors: towards the horizon the ground ends, but for the backdrop."""
    return MIRROR - 0.35 * torch.exp(ray[2] / 0.05) * (1 - _behind(ray)) + 0.15 * torch.exp(ray[2] / 0.1) * _behind(ray)


def _behind(ray: Vectors) -> Tensor:
    """1 where a ray goes to the back of the scene, 0 where it does not, smooth between."""
    back_x, back_y, _ = DIRECTIONS["behind"]
    level = (ray[0] ** 2 + ray[1] ** 2).sqrt().clamp(min=1e-4)
    part = (((back_x * ray[0] + back_y * ray[1]) / level - 0.4) / 0.35).clamp(0, 1)
    return part * part * (3 - 2 * part)
