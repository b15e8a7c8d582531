"""One training on several processes: `torchrun --nproc-per-node=2 -m rnlib train ...`, gloo on CPUs, nccl on GPUs.

Every process computes its share of each batch, and what is added up over a batch (gradients, losses, batch-norm
statistics) is added up over the processes. Nothing random depends on a process's number. So the
history is that of one process with the same batches, up to the order of additions.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from rnlib.errors import ConfigError


@dataclass(frozen=True)
class Workers:
    """This process among those of a training: number `rank` (from 0) of `count`."""

    rank: int = 0
    count: int = 1

    @classmethod
    def join(cls, device: torch.device) -> "Workers":
        """Meet the processes that torchrun started; a process started otherwise is alone.

        Raises ConfigError where there are more processes than GPUs to compute on.
        """
        count = int(os.environ.get("WORLD_SIZE", "1"))
        if count == 1:
            return cls()
        if device.type == "cuda":
            local = int(os.environ["LOCAL_RANK"])
            if local >= torch.cuda.device_count():
                raise ConfigError(
                    f"expected a GPU for each of the {os.environ.get('LOCAL_WORLD_SIZE', count)} processes of this "
                    f"machine, found {torch.cuda.device_count()}. Lower --nproc-per-node, or use --device cpu."
                )
            torch.cuda.set_device(local)
        if not dist.is_initialized():
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return cls(dist.get_rank(), count)

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.rank == 0

    def share(self, keys: np.ndarray) -> tuple[slice, float]:
        """Which part of a batch is this process's, and how much each of its questions counts.

        keys: of each question in the batch; equal neighbours (questions on one picture) stay together. Where there are
        fewer groups than processes, each does the whole batch for a part of its weight.
        """
        begins = np.concatenate([[0], np.flatnonzero(keys[1:] != keys[:-1]) + 1])
        if self.count == 1:
            return slice(0, len(keys)), 1.0
        if len(begins) < self.count:
            return slice(0, len(keys)), 1 / self.count
        first = np.arange(self.count + 1) * len(begins) // self.count
        cuts = np.append(begins, len(keys))[first]
        return slice(int(cuts[self.rank]), int(cuts[self.rank + 1])), 1.0

    def add_up(self, *tensors: Tensor) -> None:
        """Replace tensors of one type by their sums over all processes, in one message."""
        if self.count == 1:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat)
        for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether any process says so."""
        if self.count == 1:
            return flag
        flags = torch.tensor([float(flag)], device=device)
        dist.all_reduce(flags)
        return bool(flags.item())

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """The main process does what is in the block before the others do."""
        if not self.is_main:
            self.wait()
        yield
        if self.is_main:
            self.wait()

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            dist.barrier()


ALONE = Workers()


class _Sum(torch.autograd.Function):
    """A sum over processes, through which gradients flow."""

    @staticmethod
    def forward(ctx: object, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> Tensor:
        total = grad.contiguous().clone()
        dist.all_reduce(total)
        return total


class BatchNorm2d(torch.nn.BatchNorm2d):
    """Batch normalisation with the statistics of the batch of all processes, computed in float32."""

    def forward(self, input: Tensor) -> Tensor:
        """Channels of (batch, channels, height, width), normalised, in the input's precision."""
        if not (self.training and dist.is_initialized() and dist.get_world_size() > 1):
            return super().forward(input)
        with torch.autocast(input.device.type, enabled=False):
            return self._of_all_processes(input.to(self.weight.dtype)).to(input.dtype)

    def _of_all_processes(self, input: Tensor) -> Tensor:
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        size = input.new_full((1,), input.numel() / input.shape[1])
        sums = _Sum.apply(torch.cat([input.sum((0, 2, 3)), size]))
        total = sums[-1].detach()
        mean = sums[:-1] / total
        centred = input - mean[:, None, None]
        variance = _Sum.apply(centred.square().sum((0, 2, 3))) / total
        with torch.no_grad():
            assert self.momentum is not None
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * total / (total - 1), self.momentum)
            self.num_batches_tracked.add_(1)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return centred * scale[:, None, None] + self.bias[:, None, None]
