"""Which pairs of objects carried an answer.

A Relation Network's answer is f(s) with s = sum of g(o_i, o_j, q) over all ordered pairs. What speaks for answer a
over answer b is the margin

    D(s) = log p_a(s) - log p_b(s)

(the difference of two outputs of f: the softmax cancels). Without a scene, at s = 0, it is D(0): what f would say if
no pair had said anything. The rest is divided among the pairs by integrated gradients along the sum:

    D(s) = D(0) + sum_{i,j} c_ij        c_ij = g(o_i, o_j, q) . integral of grad D(t s) dt, t from 0 to 1

The shares add up, whatever f is; "gradient times output", which takes the gradient at s alone, does not. What removing
a single pair changes is another question,

    D(s) - D(s - g(o_i, o_j, q))       (leave one pair out)

and both are computed. A question that names one object gives many pairs the same say, whatever they show; so pairs
are best compared with one another.

Sources: Santoro et al. 2017, equation 1; integrated gradients: Sundararajan et al. 2017 (arXiv 1703.01365).
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor

from rnlib.errors import ConfigError
from rnlib.model.checkpoint import Weights
from rnlib.model.inputs import NetworkInputs
from rnlib.model.network import RelationNetwork
from rnlib.model.reference import pair_outputs

COMPLETE = 0.05  # nats that the shares may miss of the margin
STEPS, MOST_STEPS = 64, 2**14  # along the sum


@dataclass(frozen=True, eq=False)
class Attribution:
    """What each ordered pair of objects contributed to a network's saying `answer` rather than `against`.

    answer, against  output units (from 0)
    log_probability  of all answers
    without_scene    the margin at a sum of 0, in nats: of f alone, which no pair has told anything
    pairs            entry [i, j]: the share of the pair (o_i, o_j), in nats; positive is evidence for `answer`
    padding          the share of all pairs with empty rows of a state description (0 where they do not count)

    margin = without_scene + sum of pairs + padding, to within COMPLETE.

    Objects are the rows of a state description, or the cells of a convolutional map row by row.
    """

    answer: int
    against: int
    log_probability: Float[np.ndarray, " answers"]
    without_scene: float
    pairs: Float[np.ndarray, "objects objects"]
    padding: float

    @property
    def margin(self) -> float:
        """log p(answer) - log p(against), in nats; negative where `against` won."""
        return float(self.log_probability[self.answer] - self.log_probability[self.against])

    @property
    def by_object(self) -> Float[np.ndarray, " objects"]:
        """Each object's share: half of every pair it is in, first or second. Together as much as all pairs."""
        return (self.pairs.sum(0) + self.pairs.sum(1)) / 2

    def strongest(self, most: int) -> list[tuple[int, int, float]]:
        """The `most` pairs that speak loudest for or against, both orders taken together: (object, object, nats)."""
        firsts, seconds = np.triu_indices(len(self.pairs))
        both = (np.triu(self.pairs) + np.triu(self.pairs.T, 1))[firsts, seconds]
        loudest = np.argsort(-np.abs(both), kind="stable")[:most]
        return [(int(firsts[k]), int(seconds[k]), float(both[k])) for k in loudest]


def pair_attribution(
    network: RelationNetwork,
    objects: Float[Tensor, "one objects size"],
    tokens: Integer[Tensor, "one longest"],
    answer: int | None = None,
    against: int | None = None,
) -> Attribution:
    """The shares of all pairs in one answer. `objects`: what `network.objects` makes of one picture or scene.

    `answer`, `against`: output units. Without them, or where they are the same: the network's answer, and the best
    other one. Raises ConfigError for a network that has no pairs (question alone). 4,096 pairs of 256 numbers take
    some 20 MB. The network is put into evaluation mode.
    """
    outputs, n = _outputs(network, objects, tokens)
    total = outputs.sum((0, 1))
    with torch.no_grad():
        log_probability = network.answer(total[None])[0]
    order = log_probability.argsort(descending=True).tolist()
    answer = order[0] if answer is None else answer
    if against is None or against == answer:
        against = next(unit for unit in order if unit != answer)
    gradient, without_scene = _mean_gradient(network, total, answer, against)
    pairs = outputs @ gradient
    return Attribution(
        answer=answer,
        against=against,
        log_probability=log_probability.cpu().numpy(),
        without_scene=without_scene,
        pairs=pairs[:n, :n].cpu().numpy(),
        padding=float(pairs.sum() - pairs[:n, :n].sum()),
    )


def _mean_gradient(
    network: RelationNetwork, total: Float[Tensor, " relation"], answer: int, against: int
) -> tuple[Float[Tensor, " relation"], float]:
    """The mean gradient of the margin on the way from 0 to `total`, and the margin at 0.

    The margin is piecewise linear along the way. Midpoint rule, with twice as many steps until it is complete.
    """

    def margin(sums: Tensor) -> Tensor:
        values = network.answer(sums)
        return values[:, answer] - values[:, against]

    with torch.no_grad():
        without_scene, whole = margin(torch.stack([torch.zeros_like(total), total])).tolist()
    steps = STEPS
    while True:
        places = (torch.arange(steps, device=total.device, dtype=total.dtype) + 0.5) / steps
        sums = (places[:, None] * total).requires_grad_()
        (gradients,) = torch.autograd.grad(margin(sums).sum(), sums)
        gradient = gradients.mean(0)
        if abs(float(gradient @ total) - (whole - without_scene)) < COMPLETE or steps >= MOST_STEPS:
            return gradient, without_scene
        steps *= 2


@torch.no_grad()
def leave_one_out(
    network: RelationNetwork,
    objects: Float[Tensor, "one objects size"],
    tokens: Integer[Tensor, "one longest"],
    answer: int,
    against: int,
) -> Float[np.ndarray, "counted counted"]:
    """By how much the margin falls without each pair, in nats: what `pair_attribution` is to be checked against.

    Arguments and errors as there.
    """
    outputs, n = _outputs(network, objects, tokens)
    total = outputs.sum((0, 1))
    sums = torch.cat([total[None], total - outputs[:n, :n].reshape(-1, len(total))])
    values = network.answer(sums)
    margins = values[:, answer] - values[:, against]
    return (margins[0] - margins[1:]).reshape(n, n).cpu().numpy()


@torch.no_grad()
def _outputs(
    network: RelationNetwork, objects: Float[Tensor, "one objects size"], tokens: Integer[Tensor, "one longest"]
) -> tuple[Float[Tensor, "rows rows relation"], int]:
    """g of all pairs that the network sums, entry [i, j] for (o_i, o_j), and how many of the rows are objects."""
    if network.relations is None or network.preset.aggregation_layer is not None:
        raise ConfigError(
            f"the preset '{network.preset.name}' has no pairs of objects that know the question: it reads the question "
            "alone, or aggregates inside g. Choose weights of another preset."
        )
    network.eval()
    n = objects.shape[1]
    present = network.objects.present(objects)
    if present is not None:
        n = int(present.sum())
    rows = objects[:, : max(n, 1)] if network.preset.mask_padding else objects
    return pair_outputs(network, rows, network.question(tokens))[0].transpose(0, 1), n


@dataclass(frozen=True, eq=False)
class PairMap:
    """The contributions to one answer with their places in the picture.

    answer, against  their names
    places           x and y of each object as parts of the picture's width and height (0 to 1)
    cells            rows and columns where the objects are all cells of a grid, None for those of a state description
                     and for the cells of which a network has found that they hold one
    """

    attribution: Attribution
    answer: str
    against: str
    places: Float[np.ndarray, "objects 2"]
    cells: tuple[int, int] | None

    @property
    def numbers(self) -> list[str]:
        """The share of each object as a map shows it: one decimal, or two where no share reaches 1 nat."""
        shares = self.attribution.by_object
        decimals = 1 if np.abs(shares).max(initial=0) >= 1 else 2
        return [f"{round(float(share), decimals) + 0.0:+.{decimals}f}" for share in shares]

    @property
    def title(self) -> str:
        """What is mapped, in words: the margin and what it is the sum of, in nats."""
        found = self.attribution
        margin, without, padding = (round(part, 1) for part in (found.margin, found.without_scene, found.padding))
        pairs = margin - without - padding  # of the rounded ones, so that they add up as printed
        rest = f" {padding:+.1f} (empty rows)" if padding else ""
        return (
            f"evidence for “{self.answer}” over “{self.against}”: {margin:+.1f} nats = {without:+.1f} (no scene) "
            f"{pairs:+.1f} (pairs){rest}"
        )


def pair_map(
    weights: Weights,
    inputs: NetworkInputs,
    row: int,
    tokens: Integer[np.ndarray, " words"],
    against: str | None = None,
) -> PairMap | None:
    """The map of the answer that the weights give to a question on the picture of row `row`.

    `tokens`: the question in the numbers of the weights' vocabulary, without padding. `against`: the answer it
    is held against, such as the truth of a wrong answer; without it, or where it is the answer given, the second best.
    None for a network that reads the question alone, aggregates inside g, or whose objects have no places.
    """
    network = weights.network
    if network.relations is None or network.preset.aggregation_layer is not None:
        return None
    names = weights.vocabulary.answers
    question = torch.from_numpy(np.asarray(tokens, np.int64))[None].to(inputs.device)
    visual = inputs.visual(np.array([row]))
    with torch.no_grad():
        objects, where = network.eval().objects.located(inputs.split, row, visual)
    if where is None:
        return None
    places, cells = where
    found = pair_attribution(network, objects, question, against=names.index(against) if against in names else None)
    places = places[: len(found.pairs)].astype(np.float32)
    return PairMap(found, names[found.answer], names[found.against], places, cells)
