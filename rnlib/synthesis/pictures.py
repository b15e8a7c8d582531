"""Scenes and views -> the pictures that their cameras take, on the processor: `tracing`, kept as machine code."""

import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, no_type_check

import numpy as np
from jaxtyping import UInt8

from rnlib import compiled
from rnlib.clevr import constants
from rnlib.clevr.schema import Scene
from rnlib.synthesis import camera, canvas, geometry, light, shading, tracing
from rnlib.synthesis.camera import View

_MODULES = (compiled, constants, camera, canvas, geometry, light, shading, tracing)  # what the machine code is made of


def draw(
    scenes: Sequence[Scene], views: Sequence[View], size: tuple[int, int]
) -> UInt8[np.ndarray, "scenes height width 3"]:
    """RGB pictures of scenes as their views show them, 0..255.

    size: (width, height) in pixels, to which CLEVR's 3:2 view is squeezed. A picture's bytes depend on its own
    scene and view only.
    """
    pictures = np.empty((len(scenes), size[1], size[0], 3), np.uint8)
    _kernel()(tracing.describe(scenes, views, size), pictures)
    return pictures


def load() -> None:
    """Have the machine code ready: `draw` would do so at its first call. Half a minute on a machine that never drew."""
    _kernel()


@cache
def _kernel() -> Callable[..., Any]:
    """`tracing.trace` as machine code, made by the first process on a machine and loaded by later ones."""
    sources = hashlib.sha256(b"".join(Path(str(module.__file__)).read_bytes() for module in _MODULES))
    trace = _trace(int(sources.hexdigest()[:8], 16))
    nothing = tracing.describe([], [], (1, 1)), np.empty((0, 1, 1, 3), np.uint8)
    trace(*nothing)
    return trace


def _trace(version: int) -> Callable[..., Any]:
    """`tracing.trace`, a function that is another one for each `version`."""

    @compiled.kept
    @no_type_check
    def trace(scenes: Any, pictures: Any) -> int:
        tracing.trace(scenes, pictures)
        return version  # what a function closes over decides whether machine code kept earlier is its own

    return trace
