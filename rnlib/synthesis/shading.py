"""What the surfaces of CLEVR send towards the camera: grey ground, rubber and metal.

Rubber is diffuse, with a trace of white gloss. Metal is a coloured mirror: of the ground, of the other objects,
of the lit backdrop behind the scene and the dark room elsewhere, and of the lamps, blurred. The
constants were fitted with those of `light`: for metal, to the light that official spheres mirror in
each direction. All light is linear RGB, a tuple; `shaders` are those of `light.falling`.
"""

from math import exp, inf, sqrt
from typing import no_type_check

import numpy as np

from rnlib.clevr.constants import DIRECTIONS
from rnlib.compiled import compiled
from rnlib.synthesis.geometry import MISSES, ahead, aim, dot, enter, minus, normal_at, own_frame, relative, unit
from rnlib.synthesis.light import AMBIENT, EVERYTHING, POWERS, falling

# Near an object, within NEAR of its radii, the ground sees it instead of the open: NEARNESS of its view right at it.
NEAR, NEARNESS = 2.5, 0.8
BLEED = 0.12  # light that an object throws back on the ground which sees nothing else, in units of its colour
# An object's foot keeps the lamps away from the ground under it: none at so many radii of its middle (of spheres,
# cubes, cylinders), all at CREVICE of that.
FEET = np.array([0.6, 1.2, 1.05])
CREVICE = 0.6
DIFFUSE, DIFFUSE_SUN = 1.28, 1.25  # of rubber, in units of its colour
FROM_BELOW, FROM_AROUND = 0.147, 0.052  # light that the ground, and everything, sends to rubber
GLOSS = 0.026

MIRROR = 0.98  # of the light that metal mirrors, in units of its colour
BLUR = 0.03  # how far mirrored rays are spread
FARTHEST = 40.0  # of mirrored ground: beyond, nothing changes
BACKDROP, ROOM = 0.14, 0.025
# Images of key, fill and back lamp (columns) in metal, as lobes: strengths, and widths as 1 - cos of the angle.
LOBES = np.array([(45.0, 20.0, 35.0), (0.22, 0.18, 0.22), (0.20, 0.02, 0.04)])
WIDTHS = np.array([0.003, 0.03, 0.2])
FADED = 20.0  # widths from its middle a lobe has less than 1e-7 of its light left
METAL_IN_METAL = 0.2  # light of a metal object seen in another, in units of its colour

_TINTS = POWERS * (3 / POWERS.sum(1, keepdims=True))  # of the lamps: their light, its mean 1
_UP = (0.0, 0.0, 1.0)
_BACK_X, _BACK_Y, _ = DIRECTIONS["behind"]


@compiled
@no_type_check
def ground(scene, x, y, shaders):
    """The ground at (x, y), with shadows of the lamps, and what near objects take and throw back."""
    red, green, blue, sun = falling(scene, (x, y, 0.0), _UP, -1, shaders)
    foot = 1.0
    near_red, near_green, near_blue = AMBIENT, AMBIENT, AMBIENT
    for i in range(scene.count):
        body = scene.bodies[i]
        radius = body.radius
        right, back = body.centre[0] - x, body.centre[1] - y
        level = (right * right + back * back) / (radius * radius)
        if level < NEAR * NEAR:
            part = NEARNESS * (1 - level / NEAR**2) ** 4
            near_red += part * (BLEED * body.color[0] - near_red)
            near_green += part * (BLEED * body.color[1] - near_green)
            near_blue += part * (BLEED * body.color[2] - near_blue)
            under = level / FEET[body.shape] ** 2
            foot *= min(max((under - CREVICE**2) / (1 - CREVICE**2), 0.0), 1.0)
    return foot * (red + sun) + near_red, foot * (green + sun) + near_green, foot * (blue + sun) + near_blue


@compiled
@no_type_check
def rubber(scene, own, point, normal, shaders):
    """A point on the rubber object `own`."""
    red, green, blue, sun = falling(scene, point, normal, own, shaders)
    around = FROM_BELOW * (1 - normal[2]) / 2 + FROM_AROUND + DIFFUSE_SUN * sun
    color = scene.bodies[own].color
    return (
        color[0] * (DIFFUSE * red + around) + GLOSS * red,
        color[1] * (DIFFUSE * green + around) + GLOSS * green,
        color[2] * (DIFFUSE * blue + around) + GLOSS * blue,
    )


@compiled
@no_type_check
def shaders_of(shaders, body):
    """The row of a body in `shaders`, int64 (bodies, 4), as `falling` takes it."""
    return shaders[body, 0], shaders[body, 1], shaders[body, 2], shaders[body, 3]


@compiled
@no_type_check
def metal(scene, own, surface, view, spread, shaders):
    """A point on the metal object `own`.

    surface: the point, and the normal there. view: from the camera to the point, any length. spread: two numbers in
    -1..1, where in its blur the ray is mirrored. shaders: of points on each body, int64 (bodies, 4).
    """
    point, normal = surface
    view = unit(view)
    ray = ahead(view, -2 * dot(view, normal), normal)
    side = unit((-ray[1], ray[0], 0.0))
    over = (-ray[2] * side[1], ray[2] * side[0], ray[0] * side[1] - ray[1] * side[0])  # at right angles to both
    spread_ray = unit(ahead(ahead(ray, BLUR * spread[0], side), BLUR * spread[1], over))
    red, green, blue = _mirrored(scene, own, point, ray, spread_ray, shaders)
    color = scene.bodies[own].color
    return color[0] * red, color[1] * green, color[2] * blue


@compiled
@no_type_check
def _mirrored(scene, own, point, ray, spread_ray, shaders):
    """The light that a mirror at `point` sends on: of another object, else of the ground, else of room and lamps."""
    first, nearest = -1, inf
    for i in range(scene.count):
        body = scene.bodies[i]
        if i != own and aim(body, point, spread_ray, 1.0, 0.0) != MISSES:
            t = enter(body.shape, relative(body, point), own_frame(body, spread_ray))
            if 0 < t < nearest:
                first, nearest = i, t
    if first >= 0 and scene.bodies[first].metal:
        color = scene.bodies[first].color
        return METAL_IN_METAL * color[0], METAL_IN_METAL * color[1], METAL_IN_METAL * color[2]
    if first >= 0:
        at = ahead(point, nearest, spread_ray)
        red, green, blue = rubber(scene, first, at, normal_at(scene.bodies[first], at), shaders_of(shaders, first))
        return MIRROR * red, MIRROR * green, MIRROR * blue
    if spread_ray[2] < 0:
        x, y, _ = ahead(point, min(point[2] / max(-spread_ray[2], 1e-3), FARTHEST), spread_ray)
        red, green, blue = ground(scene, x, y, EVERYTHING)
        left = _fading(spread_ray)
        return left * red, left * green, left * blue
    red, green, blue = _lamps(scene, point, ray)
    around = _surroundings(spread_ray)
    return red + around, green + around, blue + around


@compiled
@no_type_check
def _lamps(scene, point, ray):
    """The blurred images of the lamps around a mirrored unit ray."""
    red, green, blue = 0.0, 0.0, 0.0
    for lamp in range(len(POWERS)):
        to = unit(minus(scene.lights[lamp].place, point))
        beside = 1 - dot(to, ray)
        strength = 0.0
        for lobe in range(len(WIDTHS)):
            if beside < FADED * WIDTHS[lobe]:
                strength += LOBES[lobe, lamp] * exp(-beside / WIDTHS[lobe])
        red += strength * _TINTS[lamp, 0]
        green += strength * _TINTS[lamp, 1]
        blue += strength * _TINTS[lamp, 2]
    return red, green, blue


@compiled
@no_type_check
def _surroundings(ray):
    """The room that an upward unit ray meets, grey: a lit backdrop behind the scene, near darkness elsewhere."""
    up = max(ray[2], 0.0)
    backdrop = BACKDROP * (1 - 0.75 * up * sqrt(up))
    room = ROOM + 0.03 * exp(-up / 0.06)
    return room + _behind(ray) * (backdrop - room)


@compiled
@no_type_check
def _fading(ray):
    """Part of the ground's light that metal mirrors: towards the horizon the ground ends, but for the backdrop."""
    behind = _behind(ray)
    return MIRROR - 0.35 * exp(ray[2] / 0.05) * (1 - behind) + 0.15 * exp(ray[2] / 0.1) * behind


@compiled
@no_type_check
def _behind(ray):
    """1 where a ray goes to the back of the scene, 0 where it does not, smooth between."""
    level = max(sqrt(ray[0] * ray[0] + ray[1] * ray[1]), 1e-4)
    part = min(max(((_BACK_X * ray[0] + _BACK_Y * ray[1]) / level - 0.4) / 0.35, 0.0), 1.0)
    return part * part * (3 - 2 * part)
