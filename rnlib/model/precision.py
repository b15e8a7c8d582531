"""The precision of a network's products (convolutions, LSTM, pairs): float32, or bfloat16 where that is faster."""

import time
from collections.abc import Callable

import torch

from rnlib.errors import require_one_of

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}

FASTER = 1.3  # "auto" takes bf16 on a CPU where its products are so many times as fast
STEADY = 1.05  # rates are steady once a further round of turns raises none of them by more than this
ROUND = 0.15  # seconds of a round
ROUNDS = (3, 12)  # fewest and most


def choose_precision(name: str, device: torch.device | str = "cpu") -> str:
    """ "fp32" or "bf16". ConfigError else.

    "auto": on a GPU bf16 where it computes with it; on a CPU what is faster, as measured (bf16: at least 1.3 times).
    """
    if name == "auto" and torch.device(device).type == "cuda":  # one product there is too short to be timed
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if name == "auto":
        rates = product_rates(device)
        return "bf16" if rates["bf16"] > FASTER * rates["fp32"] else "fp32"
    require_one_of(name, ("auto", *PRECISIONS), "precision")
    return name


def product_rates(device: torch.device | str = "cpu", rows: int = 1024, width: int = 256) -> dict[str, float]:
    """Floating-point operations per second of products of (rows, width) with (width, width), by precision.

    The precisions take turns, so that a busy machine slows them alike, until the best rate of each is steady: a
    processor needs up to a second to reach the speed that a training sees. Other work can only lower a rate, so the
    best of all turns is what counts.
    """
    products = {name: timed_product(name, device, rows, width) for name in PRECISIONS}
    best = dict.fromkeys(PRECISIONS, 0.0)
    for number in range(1, ROUNDS[1] + 1):
        before, begin = dict(best), time.perf_counter()
        while True:
            best = {name: max(best[name], rate()) for name, rate in products.items()}
            if time.perf_counter() - begin > ROUND:
                break
        if number >= ROUNDS[0] and all(best[name] < STEADY * before[name] for name in best):
            break
    return best


def timed_product(name: str, device: torch.device | str, rows: int, width: int) -> Callable[[], float]:
    """A function that computes one such product and returns its rate, in operations per second."""
    a, b = (torch.randn(size, width, device=device).to(PRECISIONS[name]) for size in (rows, width))
    out = torch.empty_like(a)

    def rate() -> float:
        begin = time.perf_counter()
        torch.mm(a, b, out=out)
        if out.is_cuda:
            torch.cuda.synchronize()
        return 2 * rows * width**2 / (time.perf_counter() - begin)

    return rate
