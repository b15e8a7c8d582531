"""The sum of g over all pairs, in pieces that fit the processor's cache.

The relation sum is nearly all of a Relation Network's work: 4,096 pairs of a picture's cells, each through layers of
256. Pairs go through g in *pieces* of about `PIECE` rows. What the backward pass needs of a piece is kept as long as
`KEPT` bytes last, and computed again beyond that (`torch.utils.checkpoint`).

A layer that reads a concatenation is a sum of smaller products, so the first one is
W [o_j, o_i, q] + b = W_1 o_j + W_2 o_i + (W_3 q + b): products over objects and questions instead
of pairs (`rnlib.model.relation`). What is left for the pairs begins with an addition.

Scenes of the same number of objects form a *block*; a piece may hold scenes of several blocks, so that small scenes
fill a matrix product as well as large ones. Products are in the precision asked for; the weights, their gradients and
the sums over pairs stay in the precision of the objects (float32, or float64).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from jaxtyping import Float, Integer
from torch import Tensor
from torch.nn.functional import linear
from torch.utils.checkpoint import checkpoint

# Rows (pairs) of a piece: activations of 256 in bfloat16 then take 2 MiB a layer on a CPU.
PIECE = {"cpu": 4096, "cuda": 1 << 18}
# Pieces cut out of one chunk of scenes. A cut's gradient is as large as what it is cut from; that of the chunks
# is put together once.
CHUNK = 8
# Bytes of activations that a forward pass may keep for its backward pass; on a GPU at most a third of its memory too.
KEPT = {"cpu": 3 << 30, "cuda": 24 << 30}

Layers = Sequence[tuple[Tensor, Tensor]]


def kept_bytes(device: torch.device) -> int:
    """KEPT of a device."""
    if device.type != "cuda":
        return KEPT["cpu"]
    return min(KEPT["cuda"], torch.cuda.get_device_properties(device).total_memory // 3)


@dataclass(frozen=True)
class Block:
    """Scenes of the same number of objects: what each object gives to g's first layer as first and second of a pair.

    The last object counts `multiplicity` times: it represents all padding rows of its scene, which are alike.
    """

    first: Float[Tensor, "scenes objects width"]
    second: Float[Tensor, "scenes objects width"]
    multiplicity: int = 1

    def __len__(self) -> int:
        return len(self.first)

    @property
    def objects(self) -> int:
        """Objects of each scene."""
        return self.first.shape[1]

    def part(self, chosen: slice) -> "Block":
        """Some of the scenes."""
        return replace(self, first=self.first[chosen], second=self.second[chosen])

    def split(self, count: int) -> list["Block"]:
        """So many scenes at a time."""
        halves = zip(self.first.split(count), self.second.split(count), strict=True)
        return [replace(self, first=first, second=second) for first, second in halves]


@dataclass(frozen=True)
class QuestionTerm:
    """What questions add to layer `layer` of g (from 1) before its ReLU: what comes before is computed once a scene.

    Question q is about scene number scene[q], ascending, counted through all blocks.
    """

    values: Float[Tensor, "questions width"]
    scene: Integer[Tensor, " questions"]
    layer: int


def sum_over_pairs(
    blocks: Sequence[Block],
    layers: Layers,
    precision: torch.dtype,
    question: QuestionTerm | None = None,
    pair_weight: Float[Tensor, " pairs"] | None = None,
) -> Float[Tensor, "rows relation"]:
    """Sum over i, j of g, from the two halves of its first layer: pair (i, j) begins as first[j] + second[i].

    layers: (weight, bias) of g's layers from the second on; a ReLU follows every layer. A row of the result is a
    question, without `question` a scene. pair_weight: how much each pair (i, j) of a scene counts, i slowest; all
    scenes then have the same number of objects.
    """
    run = _Runner(blocks[0].first.device, precision)
    widths = [blocks[0].first.shape[2], *(len(bias) for _, bias in layers)]

    def of_scenes(piece: Sequence[Block]) -> Tensor:
        return _sums(_through(_begin(piece, precision), layers), piece, pair_weight, blocks[0].first.dtype)

    def until_question(piece: Sequence[Block]) -> Tensor:
        assert question is not None
        hidden = _through(_begin(piece, precision), layers[: question.layer - 1])
        weight, bias = layers[question.layer - 1]
        return linear(hidden, weight.to(precision), bias.to(precision))

    def of_questions(piece: Sequence["_Asked"]) -> Tensor:
        assert question is not None
        hidden = _joined([asked.begin() for asked in piece]).relu_()
        return _sums(_through(hidden, layers[question.layer :]), piece, pair_weight, blocks[0].first.dtype)

    sums: list[Tensor] = []
    scenes, before = sum(map(len, blocks)), 0
    for piece in _pieces(blocks, run.limit):
        if question is None:
            sums.append(run(of_scenes, piece, sum(widths)))
            continue
        pairs = run(until_question, piece, sum(widths[: question.layer]))
        asked = _asked(piece, pairs, question, before, scenes)
        sums += [run(of_questions, part, sum(widths[question.layer :])) for part in _pieces(asked, run.limit)]
        before += sum(map(len, piece))
    return torch.cat(sums)


@dataclass(frozen=True)
class _Asked:
    """Questions about the scenes of a piece that have the same number of objects."""

    pairs: Float[Tensor, "scenes pairs width"]
    values: Float[Tensor, "questions width"]
    scene: Integer[Tensor, " questions"]
    objects: int
    multiplicity: int

    def __len__(self) -> int:
        return len(self.values)

    def part(self, chosen: slice) -> "_Asked":
        """Some of the questions."""
        return replace(self, values=self.values[chosen], scene=self.scene[chosen])

    def split(self, count: int) -> list["_Asked"]:
        """So many questions at a time."""
        questions = zip(self.values.split(count), self.scene.split(count), strict=True)
        return [replace(self, values=values, scene=scene) for values, scene in questions]

    def begin(self) -> Float[Tensor, "rows width"]:
        """The pairs of each question's scene with the question's term."""
        # index_select copies whole scenes; indexing would copy number by number.
        pairs = self.pairs if len(self.pairs) == 1 else self.pairs.index_select(0, self.scene)
        return (pairs + self.values.to(pairs.dtype)[:, None]).flatten(0, 1)


_P = TypeVar("_P", Block, _Asked)


def _asked(piece: Sequence[Block], pairs: Tensor, question: QuestionTerm, before: int, scenes: int) -> list[_Asked]:
    """The questions about the scenes of a piece: of all `scenes`, `before` come before it."""
    edges = [before]
    for block in piece:
        edges.append(edges[-1] + len(block))
    bounds = [0, len(question.scene)]
    if len(piece) > 1 or len(piece[0]) < scenes:  # a GPU is asked only where that is needed
        bounds = torch.searchsorted(question.scene, torch.tensor(edges, device=pairs.device)).tolist()
    rows = _split(pairs, piece)
    return [
        _Asked(
            own.view(len(block), block.objects**2, -1),
            question.values[begin:end],
            question.scene[begin:end] - edge,
            block.objects,
            block.multiplicity,
        )
        for block, own, begin, end, edge in zip(piece, rows, bounds[:-1], bounds[1:], edges[:-1], strict=True)
    ]


class _Runner:
    """Computes pieces, and keeps what their backward pass needs while there is room."""

    def __init__(self, device: torch.device, precision: torch.dtype) -> None:
        self.limit, self.bytes = PIECE[device.type], precision.itemsize
        self.room = kept_bytes(device)

    def __call__(self, compute: Callable[[Sequence[_P]], Tensor], piece: Sequence[_P], width: int) -> Tensor:
        """compute(piece). width: numbers a pair that the backward pass needs."""
        if not torch.is_grad_enabled():
            return compute(piece)
        rows = sum(len(part) * part.objects**2 for part in piece)
        size = self.bytes * rows * width
        if size > self.room:
            kept: Tensor = checkpoint(compute, piece, use_reentrant=False, preserve_rng_state=False)
            return kept
        self.room -= size
        return compute(piece)


def _pieces(parts: Sequence[_P], limit: int) -> Iterator[list[_P]]:
    """Scenes (or questions), one after another, in pieces of at most `limit` pairs, or of one of them."""
    piece: list[_P] = []
    room = limit
    for part in (part for whole in parts for part in whole.split(max(1, CHUNK * limit // whole.objects**2))):
        begin = 0
        while begin < len(part):
            count = min(room // part.objects**2, len(part) - begin)
            if count < 1 and piece:
                yield piece
                piece, room = [], limit
                continue
            count = max(count, 1)
            piece.append(part.part(slice(begin, begin + count)))
            begin, room = begin + count, room - count * part.objects**2
    if piece:
        yield piece


def _begin(piece: Sequence[Block], precision: torch.dtype) -> Float[Tensor, "rows width"]:
    """What g's first layer gives for each pair, ReLU included."""
    halves = [(block.first.to(precision), block.second.to(precision)) for block in piece]
    return _joined([(first[:, None] + second[:, :, None]).flatten(0, 2) for first, second in halves]).relu_()


def _joined(rows: Sequence[Tensor]) -> Tensor:
    return rows[0] if len(rows) == 1 else torch.cat(list(rows))


def _split(rows: Tensor, piece: Sequence[_P]) -> Sequence[Tensor]:
    return [rows] if len(piece) == 1 else rows.split([len(part) * part.objects**2 for part in piece])


def _through(hidden: Float[Tensor, "rows before"], layers: Layers) -> Float[Tensor, "rows after"]:
    for weight, bias in layers:  # converted here, so that gradients of pieces are added up in the weights' precision
        hidden = linear(hidden, weight.to(hidden.dtype), bias.to(hidden.dtype)).relu_()
    return hidden


def _sums(
    hidden: Float[Tensor, "rows width"], piece: Sequence[_P], pair_weight: Tensor | None, wide: torch.dtype
) -> Float[Tensor, "sums width"]:
    """The sums over the pairs of each scene or question of a piece."""
    sums = []
    for part, rows in zip(piece, _split(hidden, piece), strict=True):
        pairs = rows.view(len(part), part.objects, part.objects, -1)
        if pair_weight is not None:
            sums.append(torch.einsum("p,npw->nw", pair_weight.to(wide), pairs.flatten(1, 2).to(wide)))
            continue
        if part.multiplicity > 1:
            counts = pairs.new_ones(part.objects)
            counts[-1] = part.multiplicity
            pairs = pairs * torch.outer(counts, counts)[:, :, None]
        # Adding up one of the two objects in the products' precision and the other in a wide one rounds next to
        # nothing, and spares a wide copy of all pairs.
        sums.append(pairs.sum(2).to(wide).sum(1))
    return torch.cat(sums)
