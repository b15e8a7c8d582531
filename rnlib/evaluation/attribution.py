"""Which pairs of objects carried an answer.

A Relation Network's answer is f(s) with s = sum of g(o_i, o_j, q) over all ordered pairs. What speaks for answer a
over answer b is the margin

    D(s) = log p_a(s) - log p_b(s)

(the difference of f's two outputs: the softmax cancels). To first order in s, D is a sum over pairs, so each has a
share:

    D(s) ~ D_0 + sum_{i,j} c_ij        c_ij = grad D(s) . g(o_i, o_j, q)

("gradient times output"). f is piecewise linear up to the softmax, so within the linear piece around s this holds
exactly, with a D_0 that no pair can claim (f's biases there). What removing a pair does in truth, however far that
leads, is

    D(s) - D(s - g(o_i, o_j, q))       (leave one pair out)

and both are computed. A question that names one object gives many pairs the same say, whatever they show; so pairs
are best compared with one another.

Sources: Santoro et al. 2017, equation 1; gradient times input: Shrikumar et al. 2016 (arXiv 1605.01713).
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


@dataclass(frozen=True, eq=False)
class Attribution:
    """What each ordered pair of objects contributed to a network's saying `answer` rather than `against`.

    answer, against  output units (from 0)
    log_probability  of all answers
    pairs            entry [i, j]: gradient times output of the pair (o_i, o_j), in nats; positive speaks for `answer`
    padding          the share of all pairs with empty rows of a state description (0 where they do not count)

    Objects are the rows of a state description, or the cells of a convolutional map row by row.
    """

    answer: int
    against: int
    log_probability: Float[np.ndarray, " answers"]
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
    inputs: Float[Tensor, "one ..."],
    tokens: Integer[Tensor, "one longest"],
    answer: int | None = None,
    against: int | None = None,
) -> Attribution:
    """The contributions of all pairs to one answer; inputs and tokens as `network` takes them, a batch of one.

    `answer`, `against`: output units. Without them, or where they are the same: the network's answer, and the best
    other one. Raises ConfigError for a network that has no pairs (question alone). 4,096 pairs of 256 numbers take
    some 20 MB. The network is put into evaluation mode.
    """
    outputs, n = _outputs(network, inputs, tokens)
    total = outputs.sum((0, 1))[None].requires_grad_()
    log_probability = network.answer(total)[0]
    order = log_probability.argsort(descending=True).tolist()
    answer = order[0] if answer is None else answer
    if against is None or against == answer:
        against = next(unit for unit in order if unit != answer)
    (gradient,) = torch.autograd.grad(log_probability[answer] - log_probability[against], total)
    pairs = outputs @ gradient[0]
    return Attribution(
        answer=answer,
        against=against,
        log_probability=log_probability.detach().cpu().numpy(),
        pairs=pairs[:n, :n].cpu().numpy(),
        padding=float(pairs.sum() - pairs[:n, :n].sum()),
    )


@torch.no_grad()
def leave_one_out(
    network: RelationNetwork,
    inputs: Float[Tensor, "one ..."],
    tokens: Integer[Tensor, "one longest"],
    answer: int,
    against: int,
) -> Float[np.ndarray, "objects objects"]:
    """By how much the margin falls without each pair, in nats: what `pair_attribution` is to be checked against.

    Arguments and errors as there.
    """
    outputs, n = _outputs(network, inputs, tokens)
    total = outputs.sum((0, 1))
    sums = torch.cat([total[None], total - outputs[:n, :n].reshape(-1, len(total))])
    values = network.answer(sums)
    margins = values[:, answer] - values[:, against]
    return (margins[0] - margins[1:]).reshape(n, n).cpu().numpy()


@torch.no_grad()
def _outputs(
    network: RelationNetwork, inputs: Float[Tensor, "one ..."], tokens: Integer[Tensor, "one longest"]
) -> tuple[Float[Tensor, "rows rows relation"], int]:
    """g of all pairs that the network sums, entry [i, j] for (o_i, o_j), and how many of the rows are objects."""
    if network.relations is None or network.preset.aggregation_layer is not None:
        raise ConfigError(
            f"the preset '{network.preset.name}' has no pairs of objects that know the question: it reads the question "
            "alone, or aggregates inside g. Choose weights of another preset."
        )
    network.eval()
    objects = network.objects(inputs)
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
    def title(self) -> str:
        """What is mapped, in words."""
        return f"evidence for “{self.answer}” over “{self.against}”: {self.attribution.margin:+.2g} nats"


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
    found = pair_attribution(network, visual, question, against=names.index(against) if against in names else None)
    where = network.objects.places(inputs.split, row, visual, len(found.pairs))
    if where is None:
        return None
    places, cells = where
    return PairMap(found, names[found.answer], names[found.against], places.astype(np.float32), cells)
