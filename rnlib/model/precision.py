"""The precision of products over pairs (and on a CPU of the LSTM): float32, or bfloat16 where that is faster."""

import time

import torch

from rnlib.errors import ConfigError

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def choose_precision(name: str, device: torch.device | str = "cpu") -> str:
    """ "fp32" or "bf16". ConfigError else.

    "auto": on a GPU bf16 where it computes with it; on a CPU what is faster, as measured (bf16: at least 1.3 times).
    """
    if name == "auto" and torch.device(device).type == "cuda":  # one product there is too short to be timed
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if name == "auto":
        return "bf16" if product_rate("bf16", device) > 1.3 * product_rate("fp32", device) else "fp32"
    if name not in PRECISIONS:
        raise ConfigError(f"expected a precision out of auto, {', '.join(PRECISIONS)}, found '{name}'.")
    return name


def product_rate(name: str, device: torch.device | str = "cpu", rows: int = 4096, width: int = 256) -> float:
    """Floating-point operations a second in products of (rows, width) with (width, width); the best of several."""
    a, b = (torch.randn(size, width, device=device).to(PRECISIONS[name]) for size in (rows, width))
    out = torch.empty_like(a)
    best = 0.0
    for _ in range(10):
        begin = time.perf_counter()
        for _ in range(3):
            torch.mm(a, b, out=out)
        if out.is_cuda:
            torch.cuda.synchronize()
        best = max(best, 3 * 2 * rows * width**2 / (time.perf_counter() - begin))
    return best
