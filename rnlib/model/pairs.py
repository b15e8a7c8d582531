"""The sum of g over all pairs, forward and backward by hand: fast, in bounded memory, and the same function.

The relation sum is nearly all of a Relation Network's work: 4,096 pairs a picture, each through
layers of 256. Left to autograd, every layer of every pair is written to memory and read back several
times. Here pairs go through g in *pieces* small enough for the processor's cache. What the backward
pass needs of a piece is kept as long as `KEPT` bytes last, and computed again beyond that.

A layer that reads a concatenation is a sum of smaller products, so the first one is
W [o_j, o_i, q] + b = W_1 o_j + W_2 o_i + (W_3 q + b): products over objects and questions instead
of pairs (`rnlib.model.relation`). What is left for the pairs begins with an addition.

Matrix products are in the precision asked for; sums over pairs and pieces, biases and gradients of
weights are accumulated in float32 (float64 if that is asked for).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Integer
from torch import Tensor

# Rows (pairs) of a piece: activations of 256 in bfloat16 then take 2 MiB a layer on a CPU.
PIECE = {"cpu": 4096, "cuda": 1 << 18}
# Bytes of activations that a forward pass may keep for its backward pass.
KEPT = 3 << 30


def sum_over_pairs(
    first: Float[Tensor, "scenes objects width"],
    second: Float[Tensor, "scenes objects width"],
    layers: Sequence[tuple[Tensor, Tensor]],
    precision: torch.dtype,
    *,
    share: Float[Tensor, "questions joined"] | None = None,
    scene: Integer[Tensor, " questions"] | None = None,
    joins: int = 0,
    weight: Float[Tensor, " objects"] | None = None,
    pair_weight: Float[Tensor, " pairs"] | None = None,
) -> Float[Tensor, "rows relation"]:
    """Sum over i, j of g, from the two halves of its first layer: pair (i, j) begins as first[j] + second[i].

    layers: (weight, bias) of g's layers from the second on; a ReLU follows every layer.
    With `share`, question q, which is about row scene[q] (ascending) of `first`, adds share[q] to layer `joins`
    (from 1) before its ReLU: what comes before is computed once a scene. A row of the result is a question, without
    `share` a scene. weight: how often each object counts; a pair counts as often as the product.
    pair_weight, in its place: how much each pair (i, j) counts, i slowest; gradients flow to it too.
    """
    if share is not None and scene is None:
        scene = torch.arange(len(first), device=first.device)
    flat = [tensor for layer in layers for tensor in layer]
    room = KEPT if torch.is_grad_enabled() else 0
    total: Tensor = _SumOverPairs.apply(first, second, share, scene, joins, weight, pair_weight, precision, room, *flat)
    return total


@dataclass(frozen=True)
class _Pieces:
    """One call: its tensors in the precision of the products, and how it is cut."""

    first: Tensor
    second: Tensor
    share: Tensor | None
    scene: Tensor | None
    joins: int
    weight: Tensor | None  # of a pair, (pairs,)
    learned: bool  # whether that weight needs a gradient
    matrices: list[Tensor]
    biases: list[Tensor]

    @property
    def pairs(self) -> int:
        return self.first.shape[1] ** 2

    def per_piece(self) -> int:
        return max(1, PIECE["cuda" if self.first.is_cuda else "cpu"] // self.pairs)

    def scene_pieces(self) -> Iterator[slice]:
        for start in range(0, len(self.first), self.per_piece()):
            yield slice(start, min(start + self.per_piece(), len(self.first)))

    def question_pieces(self, scenes: slice) -> Iterator[tuple[slice, Tensor]]:
        """Pieces of the questions on some scenes, each with the scene of every question, from 0."""
        assert self.scene is not None
        begin, end = torch.searchsorted(
            self.scene, torch.tensor([scenes.start, scenes.stop], device=self.scene.device)
        ).tolist()
        for start in range(begin, end, self.per_piece()):
            piece = slice(start, min(start + self.per_piece(), end))
            yield piece, self.scene[piece] - scenes.start

    def begin(self, scenes: slice) -> Tensor:
        """What g's first layer gives for each pair, before its ReLU: (scenes * pairs, width)."""
        return (self.first[scenes][:, None] + self.second[scenes][:, :, None]).flatten(0, 2)

    def through(self, hidden: Tensor, layers: range) -> list[Tensor]:
        """`hidden` (after its ReLU) and what each of the layers makes of it, ReLU included."""
        outputs = [hidden]
        for layer in layers:
            outputs.append(torch.addmm(self.biases[layer - 1], outputs[-1], self.matrices[layer - 1].T).relu_())
        return outputs

    def of_scenes(self, scenes: slice) -> list[Tensor]:
        """Outputs of the layers before the one the question joins, of that one without the question and the ReLU."""
        outputs = self.through(self.begin(scenes).relu_(), range(1, self.joins))
        outputs.append(torch.addmm(self.biases[self.joins - 1], outputs[-1], self.matrices[self.joins - 1].T))
        return outputs

    def of_questions(self, joined: Tensor, questions: slice, which: Tensor) -> list[Tensor]:
        """Outputs of the layer the question joins and of those behind it."""
        assert self.share is not None
        rows = joined.view(-1, self.pairs, joined.shape[1])[which]
        rows += self.share[questions][:, None]
        return self.through(rows.flatten(0, 1).relu_(), range(self.joins + 1, len(self.matrices) + 1))

    def add_up(self, hidden: Tensor) -> Tensor:
        rows = hidden.view(-1, self.pairs, hidden.shape[1])
        wide = _wide(hidden.dtype)
        if self.weight is None:
            return rows.sum(1, dtype=wide)
        return torch.einsum("p,npw->nw", self.weight, rows.to(wide))


class _Gradients:
    """Sums of the gradients of g's layers over pieces."""

    def __init__(self, pieces: _Pieces) -> None:
        self.pieces = pieces
        self.matrices = [torch.zeros_like(matrix, dtype=_wide(matrix.dtype)) for matrix in pieces.matrices]
        self.biases = [torch.zeros_like(bias, dtype=_wide(bias.dtype)) for bias in pieces.biases]
        self.pair_weight = torch.zeros_like(pieces.weight) if pieces.learned and pieces.weight is not None else None

    def spread(self, total: Tensor, hidden: Tensor) -> Tensor:
        """From the gradient of the sum to that of the last layer before its ReLU."""
        pieces = self.pieces
        rows = hidden.view(-1, pieces.pairs, hidden.shape[1])
        each = total[:, None].to(hidden.dtype)
        if self.pair_weight is not None:
            self.pair_weight += torch.einsum("nw,npw->p", total, rows.to(total.dtype))
        if pieces.weight is not None:
            each = (total[:, None] * pieces.weight[:, None]).to(hidden.dtype)
        return torch.where(rows > 0, each, each.new_zeros(())).flatten(0, 1)

    def back(self, grad: Tensor, outputs: list[Tensor], layers: range) -> Tensor:
        """From the last layer's gradient to that of the first one's input, both before their ReLU."""
        for layer, hidden in zip(reversed(layers), reversed(outputs), strict=True):
            grad = self.step(grad, hidden, layer)
            grad = torch.ops.aten.threshold_backward(grad, hidden, 0)
        return grad

    def step(self, grad: Tensor, hidden: Tensor, layer: int) -> Tensor:
        """Through one linear layer, of which `hidden` is the input."""
        self.matrices[layer - 1] += grad.T @ hidden
        self.biases[layer - 1] += grad.sum(0, dtype=self.biases[layer - 1].dtype)
        return grad @ self.pieces.matrices[layer - 1]


class _SumOverPairs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        first: Tensor,
        second: Tensor,
        share: Tensor | None,
        scene: Tensor | None,
        joins: int,
        weight: Tensor | None,
        pair_weight: Tensor | None,
        precision: torch.dtype,
        room: int,
        *layers: Tensor,
    ) -> Tensor:
        wide = _wide(precision)
        counts = pair_weight if weight is None else torch.outer(weight, weight).flatten()
        pieces = _Pieces(
            first.to(precision),
            second.to(precision),
            None if share is None else share.to(precision),
            scene,
            joins,
            None if counts is None else counts.to(wide),
            pair_weight is not None,
            [matrix.to(precision) for matrix in layers[::2]],
            [bias.to(precision) for bias in layers[1::2]],
        )
        kept: dict[tuple[int, int], list[Tensor]] = {}
        width = layers[-2].shape[0] if layers else first.shape[2]
        total = first.new_zeros((len(first) if share is None else len(share), width), dtype=wide)

        def keep(key: tuple[int, int], outputs: list[Tensor]) -> None:
            nonlocal room
            size = sum(output.numel() * output.element_size() for output in outputs)
            if size <= room:
                kept[key] = outputs
                room -= size

        for scenes in pieces.scene_pieces():
            if share is None:
                outputs = pieces.through(pieces.begin(scenes).relu_(), range(1, len(pieces.matrices) + 1))
                total[scenes] = pieces.add_up(outputs[-1])
                keep((scenes.start, -1), outputs)
                continue
            before = pieces.of_scenes(scenes)
            for questions, which in pieces.question_pieces(scenes):
                outputs = pieces.of_questions(before[-1], questions, which)
                total[questions] = pieces.add_up(outputs[-1])
                keep((scenes.start, questions.start), outputs)
            keep((scenes.start, -1), before)
        ctx.pieces, ctx.kept, ctx.type = pieces, kept, first.dtype
        return total.to(first.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        pieces: _Pieces = ctx.pieces
        kept: dict[tuple[int, int], list[Tensor]] = ctx.kept
        gradients = _Gradients(pieces)
        grad = grad.to(_wide(pieces.first.dtype))
        d_first, d_second = (torch.zeros_like(half, dtype=grad.dtype) for half in (pieces.first, pieces.second))
        d_share = None if pieces.share is None else torch.zeros_like(pieces.share, dtype=grad.dtype)
        last = len(pieces.matrices)
        for scenes in pieces.scene_pieces():
            before = kept.pop((scenes.start, -1), None)
            if d_share is None:
                if before is None:
                    before = pieces.through(pieces.begin(scenes).relu_(), range(1, last + 1))
                row = gradients.spread(grad[scenes], before[-1])
                row = gradients.back(row, before[:-1], range(1, last + 1))
            else:
                before = before or pieces.of_scenes(scenes)
                joined = torch.zeros_like(before[-1], dtype=grad.dtype).view(-1, pieces.pairs, before[-1].shape[1])
                for questions, which in pieces.question_pieces(scenes):
                    outputs = kept.pop((scenes.start, questions.start), None)
                    outputs = outputs or pieces.of_questions(before[-1], questions, which)
                    row = gradients.spread(grad[questions], outputs[-1])
                    row = gradients.back(row, outputs[:-1], range(pieces.joins + 1, last + 1))
                    rows = row.view(-1, pieces.pairs, row.shape[1])
                    d_share[questions] = rows.sum(1, dtype=grad.dtype)
                    joined.index_add_(0, which, rows.to(grad.dtype))
                row = joined.flatten(0, 1).to(pieces.first.dtype)
                row = gradients.back(row, before[:-1], range(1, pieces.joins + 1))
            side = pieces.first.shape[1]
            rows = row.view(-1, side, side, row.shape[1])
            d_first[scenes] = rows.sum(1, dtype=grad.dtype)
            d_second[scenes] = rows.sum(2, dtype=grad.dtype)
        of_layers = [
            tensor.to(ctx.type) for pair in zip(gradients.matrices, gradients.biases, strict=True) for tensor in pair
        ]
        share = None if d_share is None else d_share.to(ctx.type)
        counts = None if gradients.pair_weight is None else gradients.pair_weight.to(ctx.type)
        halves = d_first.to(ctx.type), d_second.to(ctx.type)
        return (*halves, share, None, None, None, counts, None, None, *of_layers)


def _wide(precision: torch.dtype) -> torch.dtype:
    """What sums are accumulated in."""
    return torch.float32 if precision == torch.bfloat16 else precision
