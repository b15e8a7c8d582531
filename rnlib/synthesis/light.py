"""How CLEVR's scenes are lit: three square lamps and a weak sun over a grey ground, before a lit backdrop.

All light is linear RGB, in the unit in which the ground's own radiance is written to the picture.
The geometry is that of the generator's settings. The powers below were fitted by least squares
to 50 genuine pictures (open ground, then rubber surfaces, then what metal spheres
mirror in each direction), whose lamps' jitter averages out.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from rnlib.synthesis.bodies import Bodies, Rows, Vectors, unit
from rnlib.synthesis.camera import LAMPS

# Radiance of the ground a unit of cos * cos / distance^2 away from key, fill and back lamp (rows; RGB).
POWERS = ((5.60, 5.20, 4.45), (1.33, 1.45, 1.80), (2.70, 2.70, 2.70))
LAMP_HALF_SIDES = (0.25, 0.25, 0.5)
SUN = (0.4055, -0.1879, 0.8946)  # direction to the sun
SUN_POWER = 0.070
SUN_WIDTH = 0.08  # half side of the sun, in units of its distance
AMBIENT = 0.066  # on the open ground, from all around
SAMPLES = 3  # rays to a lamp: SAMPLES^2


class Lit(NamedTuple):
    """Light that falls on points. lamps: of each lamp, RGB, with the cosine to the surface's normal and shadows."""

    lamps: Float[Tensor, "3 rows"]
    sun: Float[Tensor, " rows"]


def falling(
    bodies: Bodies,
    lamps: Float[Tensor, "scenes lamps 3"],
    rows: Rows,
    points: Vectors,
    normal: Vectors,
    own: Int[Tensor, " rows"] | None = None,
) -> Lit:
    """Direct light on points with these unit normals.

    own: the body that each point lies on, which does not shade itself; None: all lie on the ground.
    """
    total = torch.zeros_like(points)
    for number, (power, half) in enumerate(zip(POWERS, LAMP_HALF_SIDES, strict=True)):
        place = lamps[:, number].T
        to = rows.of(place) - points
        square = (to * to).sum(0)
        facing = (to * normal).sum(0).clamp(min=0)
        # A lamp's jitter moves it and does not turn it: it looks along its way from its unjittered place to the origin.
        axis = unit(points.new_tensor(LAMPS[number])[:, None]).expand_as(place)
        leaving = (to * rows.of(axis)).sum(0).clamp(min=0)
        light = facing * leaving / (square * square)
        light = light * unshaded(bodies, rows, points, to, half * _square(axis), own, light > 1e-5)
        total += light * points.new_tensor(power)[:, None]
    sun = points.new_tensor(SUN)
    facing = (sun[:, None] * normal).sum(0).clamp(min=0)
    far = 30.0
    sides = (SUN_WIDTH * far * _square(sun[:, None])).expand(-1, -1, lamps.shape[0])
    light = (
        facing
        * SUN_POWER
        * unshaded(bodies, rows, points, far * sun[:, None].expand_as(points), sides, own, facing > 0)
    )
    return Lit(total, light)


def unshaded(
    bodies: Bodies,
    rows: Rows,
    points: Vectors,
    to: Vectors,
    sides: Float[Tensor, "3 2 scenes"],
    own: Int[Tensor, " rows"] | None,
    wanted: Tensor,
) -> Float[Tensor, " rows"]:
    """The part of a lamp that each point sees, 0..1.

    to: from the points to the lamp's centre. sides: half its two sides. The parts that several
    objects leave are multiplied, as if independent.
    """
    ray, which = near_rays(bodies, rows, points, to, own, wanted, slack=float(sides.norm(dim=0).max()) * 1.4142)
    seen = torch.ones_like(points[0])
    if len(ray):
        steps = (torch.arange(SAMPLES, device=points.device) + 0.5) * (2 / SAMPLES) - 1
        grid = torch.stack(torch.meshgrid(steps, steps, indexing="ij")).reshape(2, -1)
        offsets = torch.einsum("xsn,sk->xnk", sides, grid)
        targets = to[:, ray, None] + offsets[:, rows.scene[ray]]
        t = bodies.meet(which, points[:, ray, None], targets)
        free = 1 - ((t > 0) & (t < 1)).float().mean(1)  # below 0: the point lies under the object
        seen.scatter_reduce_(0, ray, free, "prod")
    return seen


def near_rays(
    bodies: Bodies,
    rows: Rows,
    points: Vectors,
    to: Vectors,
    own: Int[Tensor, " rows"] | None,
    wanted: Tensor | None = None,
    slack: float = 0.0,
) -> tuple[Int[Tensor, " pairs"], Int[Tensor, " pairs"]]:
    """Pairs (ray, body) of rays and objects of their scene that they pass near enough to meet.

    A ray widens by `slack` over its length.
    """
    square = (to * to).sum(0)
    # The bodies' centres and bounds by slot; where a scene has fewer, a bound that no ray can meet.
    empty = bodies.slots < 0
    centre, bound = bodies.centre[:, bodies.slots], bodies.bound[bodies.slots].masked_fill(empty, -torch.inf)
    found = []
    for slot in range(len(bodies.slots)):
        x, y, z = rows.of(centre[:, slot]) - points
        along = (x * to[0] + y * to[1] + z * to[2]) / square
        distance = x * x + y * y + z * z
        reach = rows.of(bound[slot])
        if slack:
            reach = reach + slack * along.clamp(0, 1)
        limit = reach * reach.abs()
        # A ray that starts within the ball around an object may meet it although its centre lies behind.
        near = (distance - along * along * square < limit) & ((along > 0) | (distance < limit))
        if own is not None:
            near &= rows.of(bodies.slots[slot]) != own
        if wanted is not None:
            near &= wanted
        ray = torch.nonzero(near)[:, 0]
        found.append((ray, bodies.slots[slot, rows.scene[ray]]))
    return torch.cat([ray for ray, _ in found]), torch.cat([which for _, which in found])


def _square(axis: Float[Tensor, "3 scenes"]) -> Float[Tensor, "3 2 scenes"]:
    """Two unit vectors at right angles to each axis and to each other."""
    x, y, _ = axis
    flat = torch.stack([-y, x, torch.zeros_like(x)]) / (x * x + y * y).sqrt()
    return torch.stack([flat, torch.linalg.cross(axis, flat, dim=0)], 1)
