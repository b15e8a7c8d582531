"""The sum of g over all pairs, forward and backward by hand: fast, in bounded memory, and the same function.

The relation sum is nearly all of a Relation Network's work: 4,096 pairs a picture, each through
layers of 256. Left to autograd, every layer of every pair is written to memory and read back several
times. Here pairs go through g in *pieces* small enough for the processor's cache. What the backward
pass needs of a piece is kept as long as `KEPT` bytes last, and computed again beyond that.

A layer that reads a concatenation is a sum of smaller products, so the first one is
W [o_j, o_i, q] + b = W_1 o_j + W_2 o_i + (W_3 q + b): products over objects and questions instead
of pairs (`rnlib.model.relation`). What is left for the pairs begins with an addition.

Scenes of equally many objects form a *block*; a piece may hold scenes of several blocks, so that small scenes fill a
matrix product as well as large ones.

Matrix products are in the precision asked for; sums over pairs and pieces, biases and gradients of
weights are accumulated in float32 (float64 if that is asked for).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Integer
from torch import Tensor

# Rows (pairs) of a piece: activations of 256 in bfloat16 then take 2 MiB a layer on a CPU.
PIECE = {"cpu": 4096, "cuda": 1 << 18}
# Bytes of activations that a forward pass may keep for its backward pass; on a GPU at most a third of its memory too.
KEPT = {"cpu": 3 << 30, "cuda": 24 << 30}


def kept_bytes(device: torch.device) -> int:
    """KEPT of a device."""
    if device.type != "cuda":
        return KEPT["cpu"]
    return min(KEPT["cuda"], torch.cuda.get_device_properties(device).total_memory // 3)


@dataclass(frozen=True)
class Block:
    """Scenes of equally many objects: what each gives to g's first layer as the first of a pair, and as the second.

    The last object counts `last` times: it stands for all padding rows of its scene, which are alike.
    """

    first: Float[Tensor, "scenes objects width"]
    second: Float[Tensor, "scenes objects width"]
    last: int = 1


def sum_over_pairs(
    blocks: Sequence[Block],
    layers: Sequence[tuple[Tensor, Tensor]],
    precision: torch.dtype,
    *,
    share: Float[Tensor, "questions joined"] | None = None,
    scene: Integer[Tensor, " questions"] | None = None,
    joins: int = 0,
    pair_weight: Float[Tensor, " pairs"] | None = None,
) -> Float[Tensor, "rows relation"]:
    """Sum over i, j of g, from the two halves of its first layer: pair (i, j) begins as first[j] + second[i].

    layers: (weight, bias) of g's layers from the second on; a ReLU follows every layer.
    With `share`, question q, which is about scene number scene[q] (ascending, counted through all blocks; without
    `scene`: number q), adds share[q] to layer `joins` (from 1) before its ReLU: what comes before is computed once a
    scene. A row of the result is a question, without `share` a scene.
    pair_weight: how much each pair (i, j) of a scene counts, i slowest; gradients flow to it too. All scenes then have
    equally many objects.
    """
    if share is not None and scene is None:
        scene = torch.arange(sum(len(block.first) for block in blocks), device=share.device)
    halves = [half for block in blocks for half in (block.first, block.second)]
    flat = [tensor for layer in layers for tensor in layer]
    room = kept_bytes(blocks[0].first.device) if torch.is_grad_enabled() else 0
    last = tuple(block.last for block in blocks)
    total: Tensor = _SumOverPairs.apply(last, share, scene, joins, pair_weight, precision, room, *halves, *flat)
    return total


@dataclass(frozen=True)
class _Part:
    """Scenes (or questions) of one block, as consecutive rows of a piece: a row a pair."""

    block: int
    scenes: slice  # within the block
    numbers: slice  # of the rows of the result: questions, or scenes through all blocks
    rows: slice  # within the piece
    objects: int
    which: Tensor | None = None  # questions: the scene of each, within the part `source` of a piece of scenes
    source: slice | None = None

    def of(self, piece: Tensor) -> Tensor:
        """This part of a piece as (scenes or questions, objects, objects, width)."""
        return piece[self.rows].view(-1, self.objects, self.objects, piece.shape[1])


@dataclass(frozen=True)
class _Run:
    """Consecutive rows of the result that have equally many objects: scenes of a block, or questions on a part."""

    block: int
    objects: int
    begin: int
    end: int
    source: _Part | None = None  # questions: the part of a piece of scenes that they are about


@dataclass(frozen=True)
class _Call:
    """One call: its tensors in the precision of the products, and how it is cut."""

    blocks: list[Block]
    share: Tensor | None
    scene: Tensor | None
    joins: int
    pair_weight: Tensor | None
    matrices: list[Tensor]
    biases: list[Tensor]

    @property
    def dtype(self) -> torch.dtype:
        return self.blocks[0].first.dtype

    def limit(self) -> int:
        return PIECE["cuda" if self.blocks[0].first.is_cuda else "cpu"]

    def scene_pieces(self) -> Iterator[list[_Part]]:
        """All scenes in pieces of about PIECE pairs."""
        runs, number = [], 0
        for index, block in enumerate(self.blocks):
            scenes, objects, _ = block.first.shape
            runs.append(_Run(index, objects, number, number + scenes))
            number += scenes
        return self._pieces(runs)

    def question_pieces(self, scenes: list[_Part]) -> Iterator[list[_Part]]:
        """The questions on the scenes of a piece, again in pieces."""
        assert self.scene is not None
        bounds = [0, len(self.scene)]  # where one part holds all scenes, a GPU need not be asked
        if scenes[0].numbers != slice(0, sum(len(block.first) for block in self.blocks)):
            edges = [part.numbers.start for part in scenes] + [scenes[-1].numbers.stop]
            bounds = torch.searchsorted(self.scene, torch.tensor(edges, device=self.scene.device)).tolist()
        return self._pieces(
            _Run(part.block, part.objects, begin, end, source=part)
            for part, begin, end in zip(scenes, bounds[:-1], bounds[1:], strict=True)
        )

    def _pieces(self, runs: Iterable[_Run]) -> Iterator[list[_Part]]:
        """The scenes or questions of runs, one after another, in pieces of at most PIECE rows or of one of them."""
        parts: list[_Part] = []
        rows = 0
        for run in runs:
            begin, pairs = run.begin, run.objects**2
            while begin < run.end:
                count = min((self.limit() - rows) // pairs, run.end - begin)
                if count < 1 and parts:
                    yield parts
                    parts, rows = [], 0
                    continue
                count = max(count, 1)
                parts.append(self._part(run, slice(begin, begin + count), slice(rows, rows + count * pairs)))
                begin, rows = begin + count, rows + count * pairs
        if parts:
            yield parts

    def _part(self, run: _Run, numbers: slice, rows: slice) -> _Part:
        if run.source is None:
            scenes = slice(numbers.start - run.begin, numbers.stop - run.begin)
            return _Part(run.block, scenes, numbers, rows, run.objects)
        assert self.scene is not None
        which = self.scene[numbers] - run.source.numbers.start
        return _Part(run.block, run.source.scenes, numbers, rows, run.objects, which, run.source.rows)

    def empty(self, parts: list[_Part], width: int) -> Tensor:
        """Room for the rows of a piece."""
        return torch.empty(parts[-1].rows.stop, width, dtype=self.dtype, device=self.blocks[0].first.device)

    def begin(self, parts: list[_Part]) -> Tensor:
        """What g's first layer gives for each pair of a piece, ReLU included."""
        hidden = self.empty(parts, self.blocks[0].first.shape[2])
        for part in parts:
            block = self.blocks[part.block]
            torch.add(block.first[part.scenes][:, None], block.second[part.scenes][:, :, None], out=part.of(hidden))
        return hidden.relu_()

    def through(self, hidden: Tensor, layers: range) -> list[Tensor]:
        """`hidden` (after its ReLU) and what each of the layers makes of it, ReLU included."""
        outputs = [hidden]
        for layer in layers:
            # A product with its ReLU: on a GPU one kernel.
            outputs.append(torch._addmm_activation(self.biases[layer - 1], outputs[-1], self.matrices[layer - 1].T))
        return outputs

    def of_scenes(self, parts: list[_Part]) -> list[Tensor]:
        """Outputs of all layers; with questions that join: of those before, of that one without question and ReLU."""
        if self.share is None:
            return self.through(self.begin(parts), range(1, len(self.matrices) + 1))
        outputs = self.through(self.begin(parts), range(1, self.joins))
        outputs.append(torch.addmm(self.biases[self.joins - 1], outputs[-1], self.matrices[self.joins - 1].T))
        return outputs

    def of_questions(self, joined: Tensor, parts: list[_Part]) -> list[Tensor]:
        """Outputs of the layer the question joins and of those behind it."""
        assert self.share is not None
        hidden = self.empty(parts, joined.shape[1])
        for part in parts:
            assert part.which is not None and part.source is not None
            rows = part.of(hidden)
            source = joined[part.source].view(-1, *rows.shape[1:])
            # index_select copies whole scenes; indexing would copy number by number.
            torch.add(source.index_select(0, part.which), self.share[part.numbers][:, None, None], out=rows)
        return self.through(hidden.relu_(), range(self.joins + 1, len(self.matrices) + 1))

    def add_up(self, hidden: Tensor, parts: list[_Part], total: Tensor) -> None:
        """Write the sums over the pairs of a piece's rows to their rows of `total`."""
        for part in parts:
            rows, more = part.of(hidden), self.blocks[part.block].last - 1
            if self.pair_weight is not None:
                weighted = torch.einsum("p,npw->nw", self.pair_weight, rows.flatten(1, 2).to(total.dtype))
                total[part.numbers] = weighted
                continue
            # Adding up one of the two objects in the products' precision and the other in a wide one rounds next to
            # nothing, and spares a wide copy of all pairs.
            sums = rows.sum(2).to(total.dtype)
            if more:
                sums += more * rows[:, :, -1]
            total[part.numbers] = sums.sum(1) + more * sums[:, -1] if more else sums.sum(1)


class _Gradients:
    """Sums of the gradients of g's layers over pieces."""

    def __init__(self, call: _Call) -> None:
        self.call = call
        self.matrices = [torch.zeros_like(matrix, dtype=_wide(matrix.dtype)) for matrix in call.matrices]
        self.biases = [torch.zeros_like(bias, dtype=_wide(bias.dtype)) for bias in call.biases]
        self.pair_weight = None if call.pair_weight is None else torch.zeros_like(call.pair_weight)

    def spread(self, total: Tensor, hidden: Tensor, parts: list[_Part]) -> Tensor:
        """From the gradient of the sums to that of the last layer before its ReLU, for the rows of a piece."""
        grad = torch.empty_like(hidden)
        for part in parts:
            rows, last = part.of(grad), self.call.blocks[part.block].last
            each = total[part.numbers][:, None, None]
            if self.call.pair_weight is None and last == 1:
                spread = each.to(hidden.dtype).expand_as(rows)
                torch.ops.aten.threshold_backward.grad_input(spread, part.of(hidden), 0, grad_input=rows)
                continue
            if self.call.pair_weight is not None:
                assert self.pair_weight is not None
                outputs = part.of(hidden).flatten(1, 2).to(total.dtype)
                self.pair_weight += torch.einsum("nw,npw->p", total[part.numbers], outputs)
                each = each * self.call.pair_weight.view(part.objects, part.objects, 1)
            rows.copy_(each)
            if last != 1:
                rows[:, -1] *= last
                rows[:, :, -1] *= last
            torch.ops.aten.threshold_backward.grad_input(rows, part.of(hidden), 0, grad_input=rows)
        return grad

    def back(self, grad: Tensor, outputs: list[Tensor], layers: range) -> Tensor:
        """From the last layer's gradient to that of the first one's input, both before their ReLU."""
        for layer, hidden in zip(reversed(layers), reversed(outputs), strict=True):
            grad = torch.ops.aten.threshold_backward(self.step(grad, hidden, layer), hidden, 0)
        return grad

    def step(self, grad: Tensor, hidden: Tensor, layer: int) -> Tensor:
        """Through one linear layer, of which `hidden` is the input."""
        self.matrices[layer - 1] += grad.T @ hidden
        self.biases[layer - 1] += grad.sum(0)
        return grad @ self.call.matrices[layer - 1]


class _SumOverPairs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        last: tuple[int, ...],
        share: Tensor | None,
        scene: Tensor | None,
        joins: int,
        pair_weight: Tensor | None,
        precision: torch.dtype,
        room: int,
        *tensors: Tensor,
    ) -> Tensor:
        halves, layers = tensors[: 2 * len(last)], tensors[2 * len(last) :]
        call = _Call(
            [
                Block(first.to(precision), second.to(precision), times)
                for first, second, times in zip(halves[::2], halves[1::2], last, strict=True)
            ],
            None if share is None else share.to(precision),
            scene,
            joins,
            None if pair_weight is None else pair_weight.to(_wide(precision)),
            [matrix.to(precision) for matrix in layers[::2]],
            [bias.to(precision) for bias in layers[1::2]],
        )
        kept: dict[tuple[int, int], list[Tensor]] = {}
        width = layers[-2].shape[0] if layers else halves[0].shape[2]
        rows = len(share) if share is not None else sum(len(first) for first in halves[::2])
        total = halves[0].new_empty((rows, width), dtype=_wide(precision))

        def keep(key: tuple[int, int], outputs: list[Tensor]) -> None:
            nonlocal room
            size = sum(output.numel() * output.element_size() for output in outputs)
            if size <= room:
                kept[key] = outputs
                room -= size

        for number, scenes in enumerate(call.scene_pieces()):
            outputs = call.of_scenes(scenes)
            if share is None:
                call.add_up(outputs[-1], scenes, total)
            else:
                for part, questions in enumerate(call.question_pieces(scenes)):
                    of_questions = call.of_questions(outputs[-1], questions)
                    call.add_up(of_questions[-1], questions, total)
                    keep((number, part), of_questions)
            keep((number, -1), outputs)
        ctx.call, ctx.kept, ctx.type = call, kept, halves[0].dtype
        return total.to(halves[0].dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        call: _Call = ctx.call
        kept: dict[tuple[int, int], list[Tensor]] = ctx.kept
        gradients = _Gradients(call)
        grad = grad.to(_wide(call.dtype))
        halves = [
            torch.empty_like(half, dtype=ctx.type) for block in call.blocks for half in (block.first, block.second)
        ]
        d_share = None if call.share is None else torch.empty_like(call.share, dtype=ctx.type)
        last = len(call.matrices)
        for number, scenes in enumerate(call.scene_pieces()):
            outputs = kept.pop((number, -1), None) or call.of_scenes(scenes)
            if d_share is None:
                rows = gradients.back(gradients.spread(grad, outputs[-1], scenes), outputs[:-1], range(1, last + 1))
            else:
                joined = torch.zeros_like(outputs[-1], dtype=grad.dtype)
                for part, questions in enumerate(call.question_pieces(scenes)):
                    later = kept.pop((number, part), None) or call.of_questions(outputs[-1], questions)
                    rows = gradients.spread(grad, later[-1], questions)
                    rows = gradients.back(rows, later[:-1], range(call.joins + 1, last + 1))
                    for each in questions:
                        pairs = each.of(rows)
                        assert each.which is not None and each.source is not None
                        d_share[each.numbers] = pairs.sum(2).sum(1, dtype=grad.dtype)
                        source = joined[each.source].view(-1, *pairs.shape[1:])
                        source.index_add_(0, each.which, pairs.to(grad.dtype))
                rows = gradients.back(joined.to(call.dtype), outputs[:-1], range(1, call.joins + 1))
            for each in scenes:
                pairs = each.of(rows)
                halves[2 * each.block][each.scenes] = pairs.sum(1)
                halves[2 * each.block + 1][each.scenes] = pairs.sum(2)
        of_layers = [
            tensor.to(ctx.type) for pair in zip(gradients.matrices, gradients.biases, strict=True) for tensor in pair
        ]
        counts = None if gradients.pair_weight is None else gradients.pair_weight.to(ctx.type)
        return (None, d_share, None, None, counts, None, None, *halves, *of_layers)


def _wide(precision: torch.dtype) -> torch.dtype:
    """What sums are accumulated in."""
    return torch.float32 if precision == torch.bfloat16 else precision
