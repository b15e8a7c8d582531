"""Features are what they say, whatever the chunks; files know their pictures; the baseline trains and resumes."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from sklearn.metrics import average_precision_score

from rnlib.clevr.split import Split, open_split
from rnlib.clevr.vocabulary import clevr_v1
from rnlib.errors import ConfigError, DataError, WeightsError
from rnlib.model import RelationNetwork, Weights, init_convolutions, load_preset, load_weights, save_weights, state_rows
from rnlib.retrieval import (
    AttributeRecipe,
    FeatureSet,
    aggregated_features,
    all_features,
    conv_features,
    features,
    load_attribute_weights,
    load_features,
    pair_features,
    random_features,
    save_features,
    train_attributes,
)
from rnlib.retrieval.attribute_training import easiest_pictures
from rnlib.retrieval.attributes import VALUES, attribute_values, average_precision
from rnlib.training import Options

SMALL = {"image_size": 32, "conv_channels": [4, 4, 4], "g_layers": [8, 8, 8], "f_layers": [8, 8], "lstm_hidden": 8}
AVF = {**SMALL, "g_layers": [8, 8, 8, 12, 8, 8, 8]}


@pytest.fixture(scope="module")
def split(tiny_clevr: Path) -> Split:
    return open_split(tiny_clevr, "val", images=32, verbose=False)


def small_weights(preset: str = "ir-fp", **overrides: object) -> Weights:
    torch.manual_seed(0)
    chosen = load_preset(preset, {**(AVF if preset == "avf-fp" else SMALL), **overrides})
    return Weights(RelationNetwork(chosen, clevr_v1()).eval(), chosen, clevr_v1())


def objects_of(weights: Weights, split: Split, row: int) -> torch.Tensor:
    """The objects of one picture, or of one state description without its padding."""
    if weights.preset.objects == "pixels":
        assert split.images is not None
        return weights.network.objects(torch.from_numpy(split.images[[row]]).float() / 255)[0]
    return state_rows(weights.preset, split.coordinates[[row]], split.codes[[row]])[0, : split.n_objects[row]]


@pytest.mark.parametrize(("preset", "layer"), [("ir-fp", 0), ("ir-fp", 1), ("ir-fp", 2), ("ir-sd", 0), ("ir-sd", 2)])
def test_pair_features_equal_a_double_loop_over_objects(split: Split, preset: str, layer: int) -> None:
    weights, pictures = small_weights(preset), np.array([3, 0, 5])
    made = pair_features(weights, split, pictures, layer)
    assert weights.network.relations is not None
    with torch.no_grad():
        for number, row in enumerate(pictures):
            vectors = []
            objects = objects_of(weights, split, row)
            for second in objects:
                for first in objects:
                    hidden = torch.cat([first, second])
                    for index in range(layer):
                        hidden = torch.relu(weights.network.relations.layers[index](hidden))
                    vectors.append(hidden / hidden.norm().clamp(min=1e-12))
            stacked = torch.stack(vectors)
            assert len(stacked) == len(objects) ** 2
            np.testing.assert_allclose(made["mean"][number], stacked.mean(0), rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(made["max"][number], stacked.max(0).values, rtol=1e-4, atol=1e-6)
            if preset.endswith("sd"):
                np.testing.assert_allclose(made["sum"][number], stacked.sum(0), rtol=1e-4, atol=1e-5)
    assert set(made) == {"mean", "max"} | ({"sum"} if preset.endswith("sd") else set())


@pytest.mark.parametrize("preset", ["ir-fp", "ir-sd", "avf-fp"])
def test_chunks_change_nothing_and_no_picture_is_dropped(split: Split, preset: str) -> None:
    weights, pictures = small_weights(preset), np.arange(7)
    for chunk in (1, 3, 100):
        made = [(pair_features(weights, split, pictures, 2, chunk=c)) for c in (chunk, 8)]
        if preset != "ir-sd":
            made = [
                {**pairs, **conv_features(weights, split, pictures, chunk=c)}
                for pairs, c in zip(made, (chunk, 64), strict=True)
            ]
        if preset == "avf-fp":
            made = [
                {**one, "aggregated": aggregated_features(weights, split, pictures, chunk=c)}
                for one, c in zip(made, (chunk, 8), strict=True)
            ]
        assert made[0].keys() == made[1].keys()
        for name in made[0]:
            assert len(made[0][name]) == 7
            np.testing.assert_allclose(made[0][name], made[1][name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("preset", ["ir-sd", "avf-fp"])
def test_rows_are_in_the_order_of_the_pictures(split: Split, preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Objects come in groups (state descriptions by their number): whatever the order of the groups, rows stay.
    weights, pictures, in_order = small_weights(preset), np.array([5, 0, 3, 6, 1]), features._objects

    def made() -> dict[str, np.ndarray]:
        if preset == "avf-fp":
            return {"aggregated": aggregated_features(weights, split, pictures, chunk=2)}
        return pair_features(weights, split, pictures, 2, chunk=2)

    expected = made()
    monkeypatch.setattr(features, "_objects", lambda *given: reversed(list(in_order(*given))))
    for name, values in made().items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-5)


def test_conv_features_gather_the_cells(split: Split) -> None:
    weights, pictures = small_weights(), np.array([2, 1])
    made = conv_features(weights, split, pictures)
    with torch.no_grad():
        cells = torch.stack([objects_of(weights, split, row)[:, :-2] for row in (2, 1)])  # without the coordinates
    assert made["flat"].shape == (2, 4 * 16)
    np.testing.assert_allclose(made["mean"], cells.mean(1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(made["max"], cells.amax(1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.sort(made["flat"]), np.sort(cells.flatten(1).numpy()), rtol=1e-5, atol=1e-6)


def test_every_feature_has_a_name(split: Split) -> None:
    conv, pairs = ["conv mean", "conv max", "conv flat"], ["pairs 1 mean", "pairs 1 max"]
    pictures = np.arange(2)
    assert list(all_features(small_weights(), split, pictures, [1])) == [*conv, *pairs]
    summed = ["pairs 1 mean", "pairs 1 sum", "pairs 1 max"]
    assert list(all_features(small_weights("ir-sd"), split, pictures, [1])) == summed
    made = all_features(small_weights("avf-fp"), split, pictures, [1])
    assert list(made) == [*conv, *pairs, "aggregated"]
    assert made["aggregated"].shape == (2, 12)


def test_features_that_weights_do_not_have_are_refused(split: Split, tiny_clevr: Path) -> None:
    two, test = np.arange(2), open_split(tiny_clevr, "test", images=None, verbose=False)
    for layer in (-1, 2, 3):
        with pytest.raises(ConfigError, match=rf"layer of g from 0 to 1, where the question joins.*found {layer}"):
            pair_features(small_weights(question_layer=1), split, two, layer)
    with pytest.raises(ConfigError, match=r"layer of g from 0 to 3, after which its pairs are aggregated.*found 4"):
        pair_features(small_weights("avf-fp"), split, two, 4)
    with pytest.raises(ConfigError, match=r"no aggregated features.*avf-fp"):
        aggregated_features(small_weights(), split, two)
    with pytest.raises(ConfigError, match="weights that read pictures, found the preset 'ir-sd'"):
        conv_features(small_weights("ir-sd"), split, two)
    with pytest.raises(ConfigError, match="weights that read a scene, found the preset 'question-only'"):
        pair_features(small_weights("question-only"), split, two, 0)
    with pytest.raises(DataError, match="pictures of 64 pixels, the split has pictures of 32 pixels"):
        conv_features(small_weights(image_size=64), split, two)
    with pytest.raises(DataError, match="the split has no pictures"):
        conv_features(small_weights(), open_split(tiny_clevr, "val", images=None, verbose=False), two)
    with pytest.raises(DataError, match="reads state descriptions"):
        pair_features(small_weights("ir-sd"), test, two, 0)


# Files


def feature_set(split: Split, **vectors: np.ndarray) -> FeatureSet:
    return FeatureSet.of(vectors or {"random": random_features(3)}, split, np.array([4, 0, 2]), weights="none")


def test_features_come_back_with_their_pictures(split: Split, tmp_path: Path) -> None:
    made = feature_set(split, b=random_features(3, 5), a=random_features(3))
    read = load_features(save_features(tmp_path / "some.safetensors", made))
    assert list(read.vectors) == ["b", "a"] and read.info == made.info
    np.testing.assert_array_equal(read.vectors["b"], made.vectors["b"])
    assert read.rows_in(split).tolist() == [4, 0, 2]
    assert [split.image_indices[row] for row in (4, 0, 2)] == read.image_index.tolist()


def test_features_of_other_pictures_are_refused(split: Split, tiny_clevr: Path, tmp_path: Path) -> None:
    made = feature_set(split)
    with pytest.raises(DataError, match=r"features of 'train'.*found features of other pictures \(split val\)"):
        made.rows_in(open_split(tiny_clevr, "train", images=32, verbose=False))
    other = tmp_path / "other"
    shutil.copytree(tiny_clevr, other)
    scenes = other / "scenes" / "CLEVR_val_scenes.json"
    scenes.write_text(scenes.read_text().replace('"rubber"', '"metal"', 1))
    with pytest.raises(DataError, match="found features of other pictures"):
        made.rows_in(open_split(other, "val", images=None, verbose=False))
    with pytest.raises(DataError, match="found features of other pictures"):  # same scenes, other pictures
        made.rows_in(open_split(tiny_clevr, "val", images=48, verbose=False))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused(split: Split, tmp_path: Path, bad: float) -> None:
    values = random_features(3)
    values[1, 4] = bad
    message = r"found NaN, infinity or more than 1e\+15 in 'a' of 1 of 3 pictures, first of picture 0\."
    with pytest.raises(DataError, match=message):
        feature_set(split, a=values)
    path = save_features(tmp_path / "some.safetensors", FeatureSet({"a": values}, np.array([4, 0, 2])))
    with pytest.raises(DataError, match=message):
        load_features(path)


def test_a_damaged_file_is_one_clear_error(split: Split, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"NAME\.safetensors, found some\.npz"):
        save_features(tmp_path / "some.npz", feature_set(split))
    path = save_features(tmp_path / "some.safetensors", feature_set(split))
    whole = path.read_bytes()
    with pytest.raises(DataError, match="found no such file"):
        load_features(tmp_path / "none.safetensors")
    for part in (whole[:-4], whole[:5], b""):
        path.write_bytes(part)
        with pytest.raises(DataError, match="not a file of features"):
            load_features(path)
    save_file({"a": np.zeros((2, 3))}, path)
    with pytest.raises(DataError, match=r"expected the format rnlib-features-1, found none"):
        load_features(path)
    texts = {"format": "rnlib-features-1", "names": '["a"]', "info": "{}"}
    save_file({"feature a": np.zeros((2, 3))}, path, texts)
    with pytest.raises(DataError, match="not a file of features"):
        load_features(path)
    save_file({"feature a": np.zeros((2, 3)), "image_index": np.zeros(3, np.int64)}, path, texts)
    with pytest.raises(DataError, match="found other shapes"):
        load_features(path)


# The classifier of attributes

QUICK = AttributeRecipe(epochs=3, batch_size=8, lr=1e-3, share=1.0)
QUIET = Options(verbose=False)


@pytest.fixture(scope="module")
def splits(tiny_clevr: Path) -> tuple[Split, Split]:
    train, val = (open_split(tiny_clevr, name, images=32, verbose=False) for name in ("train", "val"))
    return train, val


def test_the_easiest_pictures_are_those_with_the_fewest_values(split: Split) -> None:
    values = attribute_values(split.codes)
    for row in range(split.n_images):
        codes = split.codes[row, : split.n_objects[row]]
        expected = {(column, int(code)) for one in codes for column, code in enumerate(one)}
        assert values[row].sum() == len(expected)
    chosen = easiest_pictures(split, 0.5)
    rest = np.setdiff1d(np.arange(split.n_images), chosen)
    assert len(chosen) == 6
    assert values[chosen].sum(1).max() <= values[rest].sum(1).min()


def test_average_precision_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    truth, scores = rng.integers(0, 2, (30, 15)).astype(np.float32), rng.random((30, 15)).astype(np.float32)
    truth[:, 3] = 1  # all have it: nothing to order
    found = average_precision(truth, scores)
    kept = [column for column in range(15) if column != 3]
    assert found["mean"] == pytest.approx(average_precision_score(truth[:, kept], scores[:, kept]))
    assert VALUES[3] not in found and len(found) == 15
    with pytest.raises(DataError, match="some have an attribute value and others have not"):
        average_precision(np.ones((3, 15), np.float32), scores[:3])


def test_an_interrupted_training_goes_on_bit_for_bit(splits: tuple[Split, Split], tmp_path: Path) -> None:
    preset = load_preset("ir-fp", SMALL)
    whole = train_attributes(preset, QUICK, splits, tmp_path / "whole", QUIET)
    short = AttributeRecipe(epochs=1, batch_size=8, lr=1e-3, share=1.0)
    train_attributes(preset, short, splits, tmp_path / "parts", QUIET)
    parts = train_attributes(preset, QUICK, splits, tmp_path / "parts", QUIET)
    one, other = (load_file(folder.weights("last")) for folder in (whole, parts))
    assert all(np.array_equal(one[name], other[name]) for name in one)
    columns = ["epoch", "train_loss", "val_average_precision"]
    assert whole.history()[columns].equals(parts.history()[columns])
    assert whole.history()["train_loss"].iloc[-1] < whole.history()["train_loss"].iloc[0]
    with pytest.raises(ConfigError, match="holds 3 epochs, and 1 were asked for"):
        train_attributes(preset, short, splits, tmp_path / "whole", QUIET)
    other_recipe = AttributeRecipe(epochs=5, batch_size=4, lr=1e-3, share=1.0)
    with pytest.raises(ConfigError, match="holds a training with recipe batch_size = 8, and 4 was asked for"):
        train_attributes(preset, other_recipe, splits, tmp_path / "whole", QUIET)


def test_the_classifier_gives_features_and_convolutions(splits: tuple[Split, Split], tmp_path: Path) -> None:
    preset, val = load_preset("ir-fp", SMALL), splits[1]
    one_epoch = AttributeRecipe(epochs=1, batch_size=8, share=1.0)
    path = train_attributes(preset, one_epoch, splits, tmp_path, QUIET).weights("best")
    weights = load_attribute_weights(path)
    assert weights.info["metrics"]["average precision"]["mean"] > 0
    made = conv_features(weights, val, np.arange(4))
    assert {name: values.shape for name, values in made.items()} == {"mean": (4, 4), "max": (4, 4), "flat": (4, 64)}
    network = small_weights().network
    init_convolutions(network, path)
    for name, tensor in network.objects.state_dict().items():
        assert torch.equal(tensor, weights.network.objects.state_dict()[name])
    # The two kinds of weights are not taken for one another.
    with pytest.raises(WeightsError, match="expected the format rnlib-weights-1, found rnlib-attributes-1"):
        load_weights(path)
    relational = save_weights(tmp_path / "rn.safetensors", network, clevr_v1())
    with pytest.raises(WeightsError, match="expected the format rnlib-attributes-1, found rnlib-weights-1"):
        load_attribute_weights(relational)
    with pytest.raises(WeightsError, match="kernels"):
        init_convolutions(small_weights(conv_channels=[4, 4, 5]).network, path)


def test_the_classifier_wants_pictures_and_scenes(
    splits: tuple[Split, Split], tiny_clevr: Path, tmp_path: Path
) -> None:
    train, val = splits
    with pytest.raises(ConfigError, match="a preset that reads pixels, found 'ir-sd'"):
        train_attributes(load_preset("ir-sd", SMALL), QUICK, (train, val), tmp_path / "a", QUIET)
    with pytest.raises(DataError, match="pictures of 64 pixels, the split has pictures of 32 pixels"):
        train_attributes(load_preset("ir-fp", {**SMALL, "image_size": 64}), QUICK, (train, val), tmp_path / "b", QUIET)
    test = open_split(tiny_clevr, "test", images=32, verbose=False)
    with pytest.raises(DataError, match="expected scenes"):
        train_attributes(load_preset("ir-fp", SMALL), QUICK, (train, test), tmp_path / "c", QUIET)
    assert not list(tmp_path.iterdir())
