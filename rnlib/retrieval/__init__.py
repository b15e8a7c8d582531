"""Pictures found by the relations in them: features, neighbours, and whether the scenes agree (Messina et al. 2018).

features            one vector a picture, from the convolutions, from the pairs of objects inside g, or by chance
feature_file        features on disk, with the pictures they are of
attributes          a classifier of attribute values: the baseline whose features know no relations
attribute_training  its training    attribute_recipe  how
neighbours          which pictures are nearest to a query
scene_distance      how far apart two scenes are, from their descriptions: the ground truth
assignment          the compiled part of that
rankings            how well an order of pictures agrees with that of their scenes
plots               neighbours beside their query, and the measures
"""

from typing import TYPE_CHECKING

from rnlib.lazy import names_of

if TYPE_CHECKING:
    from rnlib.retrieval.attribute_recipe import AttributeRecipe
    from rnlib.retrieval.attribute_training import attributes_name, evaluate_attributes, train_attributes
    from rnlib.retrieval.attributes import AttributeWeights, load_attribute_weights
    from rnlib.retrieval.feature_file import FeatureSet, load_features, save_features
    from rnlib.retrieval.features import (
        aggregated_features,
        all_features,
        conv_features,
        pair_features,
        random_features,
    )
    from rnlib.retrieval.neighbours import distances_from, nearest, unit_length
    from rnlib.retrieval.rankings import (
        better_vectors,
        compare,
        compare_with_all,
        measure,
        rank_features,
        readable,
        recall_curve,
        summarise,
    )
    from rnlib.retrieval.scene_distance import COSTS, VARIANTS, Scenes, ground_truth
else:
    __getattr__, __dir__, __all__ = names_of(__file__)
