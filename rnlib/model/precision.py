"""The precision of products over pairs and of the LSTM: float32, or bfloat16 where the machine multiplies it faster."""

import time

import torch

from rnlib.errors import ConfigError

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def choose_precision(name: str, device: torch.device | str = "cpu") -> str:
    """ "fp32" or "bf16"; "auto" measures which is faster on the device (bf16: at least 1.3 times). ConfigError else."""
    if name == "auto":
        return "bf16" if product_rate("bf16", device) > 1.3 * product_rate("fp32", device) else "fp32"
    if name not in PRECISIONS:
        raise ConfigError(f"expected a precision out of auto, {', '.join(PRECISIONS)}, found '{name}'.")
    return name


def product_rate(name: str, device: torch.device | str = "cpu", rows: int = 4096, width: int = 256) -> float:
    """Floating-point operations a second in products of (rows, width) with (width, width); the best of several."""
    a, b = (torch.ones(size, width, dtype=PRECISIONS[name], device=device) for size in (rows, width))
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
