"""Pictures found by the relations in them: features, neighbours, and whether the scenes agree (Messina et al. 2018).

features      one vector a picture, from the convolutions or from the pairs of objects inside g
neighbours    which pictures are nearest to a query
ground_truth  how far apart two scenes are, from their descriptions
plots         neighbours beside their query, and how well features agree with scenes
"""

from rnlib.retrieval.features import conv_features, pair_features, random_features
from rnlib.retrieval.ground_truth import agreement_table, node_distance, node_distances, rank_agreement
from rnlib.retrieval.neighbours import distances_from, nearest

__all__ = [
    "agreement_table",
    "conv_features",
    "distances_from",
    "nearest",
    "node_distance",
    "node_distances",
    "pair_features",
    "random_features",
    "rank_agreement",
]
