"""The retrieval browser: its search without a front end, and the buttons that drive it."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rnlib.clevr.split import Split, open_split
from rnlib.errors import ConfigError
from rnlib.retrieval import Scenes, distances_from, ground_truth, nearest, random_features
from rnlib.widgets.retrieval.state import TRUTH, Search
from rnlib.widgets.retrieval.view import HEIGHT, WIDTH, RetrievalBrowser, thumbnail


@pytest.fixture(scope="module")
def split(tiny_clevr: Path) -> Split:
    return open_split(tiny_clevr, "val", images=32, verbose=False)


PICTURES = np.array([1, 3, 4, 6, 7, 8, 10, 11])


def search_in(split: Split, neighbours: int = 3) -> Search:
    features = {"a": random_features(len(PICTURES), seed=1), "b": random_features(len(PICTURES), seed=2)}
    return Search(split, PICTURES, features, neighbours)


def test_a_search_finds_the_nearest_pictures(split: Split) -> None:
    search = search_in(split)
    search.look_for(6)
    assert search.headline == f"query: {split.image_filenames[6]}, {split.n_objects[6]} objects"
    truth = ground_truth(split, PICTURES, np.array([3]), verbose=False)
    for name, distances in (
        ("a", distances_from(search.features["a"], np.array([3]))),
        ("b", distances_from(search.features["b"], np.array([3]))),
        (TRUTH, truth),
    ):
        search.choose(feature=name)
        found = search.found()
        expected = nearest(distances, np.array([3]), 3)[0]
        assert [one.row for one in found] == PICTURES[expected].tolist()
        assert [one.rank for one in found] == [1, 2, 3]
        assert [one.scenes_apart for one in found] == truth[0, expected].tolist()


def test_the_filter_leaves_pictures_with_so_many_objects(split: Split) -> None:
    search = search_in(split, neighbours=50)
    counts = Scenes.of(split, PICTURES).counts
    assert len(search.found()) == len(PICTURES) - 1
    search.choose(fewest=4, most=5)
    kept = PICTURES[(counts >= 4) & (counts <= 5)]
    assert {one.row for one in search.found()} == set(kept.tolist()) - {search.query_row}
    search.choose(most=4)
    assert (search.fewest, search.most) == (4, 4)
    search.choose(fewest=0, most=0)
    assert search.found() == []


def test_a_random_query_is_another_one(split: Split) -> None:
    search = search_in(split)
    for _ in range(20):
        before = search.query
        search.jump()
        assert search.query != before and 0 <= search.query < len(PICTURES)


def test_without_scenes_there_is_no_truth_and_no_filter(tiny_clevr: Path) -> None:
    test = open_split(tiny_clevr, "test", images=32, verbose=False)
    search = Search(test, np.arange(6), {"a": random_features(6)}, 2)
    assert search.names == ["a"]
    assert [one.scenes_apart for one in search.found()] == [None, None]
    browser = RetrievalBrowser(search)
    assert [button.caption.value for button in browser.found.children] == ["1", "2"]
    assert browser.truth not in browser.children


def test_what_cannot_be_searched_is_one_clear_error(split: Split) -> None:
    search = search_in(split)
    with pytest.raises(ConfigError, match="as feature one of a, b, ground truth; found 'c'"):
        search.choose(feature="c")
    with pytest.raises(ConfigError, match="found 5 to 3"):
        search.choose(fewest=5, most=3)
    with pytest.raises(ConfigError, match="a picture of the database, found row 0"):
        search.look_for(0)
    with pytest.raises(ConfigError, match="features of 8 pictures, found a of another number"):
        Search(split, PICTURES, {"a": random_features(7)})
    with pytest.raises(ConfigError, match="at least 2 pictures"):
        Search(split, PICTURES[:1], {"a": random_features(1)})


def test_the_browser_shows_what_the_search_finds(split: Split) -> None:
    search = search_in(split)
    browser = RetrievalBrowser(search)

    def shown() -> list[int]:
        return [button.row for button in browser.found.children]

    assert browser.headline.value == search.headline
    assert shown() == [one.row for one in search.found()]
    assert browser.found.children[0].caption.value == f"1: {search.found()[0].scenes_apart:g} apart"
    # Click on a neighbour: it becomes the query, and its picture is on the query's button.
    clicked = browser.found.children[1]
    clicked.button.click()
    assert search.query_row == clicked.row == browser.query.row
    assert f".rn-picture-{clicked.row} {{ background: url(data:image/jpeg;base64," in browser.query.style_sheet.value
    assert f"rn-picture-{clicked.row}" in browser.query.button._dom_classes
    assert (
        browser.headline.value == f"query: {split.image_filenames[clicked.row]}, {search.counts[search.query]} objects"
    )
    browser.feature.value = "b"
    assert browser.found_title.value == "nearest by b" and shown() == [one.row for one in search.found("b")]
    assert [button.row for button in browser.truth.children] == [one.row for one in search.found(TRUTH)]
    before = search.query
    browser.random.click()
    assert search.query != before and browser.query.row == search.query_row
    browser.objects.value = (int(search.counts.max()), int(search.counts.max()))
    counts = dict(zip(PICTURES.tolist(), search.counts.tolist(), strict=True))
    assert {counts[row] for row in shown()} <= {int(search.counts.max())}
    assert browser.message.value == ("" if shown() else search.advice)


def test_an_empty_range_says_what_to_change_and_keys_and_card_work(split: Split) -> None:
    search = search_in(split)
    browser = RetrievalBrowser(search)
    search.choose(fewest=0, most=0)
    browser._show()
    assert browser.message.value == "No other picture has 0 to 0 objects: widen the range of objects."
    browser._filter()
    assert browser.message.value == ""
    before = search.query
    browser.keyboard.press("ArrowRight")
    assert search.query != before
    card = browser._repr_mimebundle_()["text/html"]
    assert card.count("<img") == 1 + len(search.found()) + len(search.found(TRUTH))
    assert f"nearest by {search.feature}" in card and search.headline in card


def test_pictures_with_the_same_number_of_objects_leave_nothing_to_slide(split: Split) -> None:
    counts = Scenes.of(split, np.arange(split.n_images)).counts
    same = np.flatnonzero(counts == np.bincount(counts).argmax())
    browser = RetrievalBrowser(Search(split, same, {"a": random_features(len(same), seed=1)}))
    controls = browser.children[0].children
    assert browser.objects not in controls
    assert any(getattr(one, "value", "") == f"all pictures have {counts[same[0]]} objects" for one in controls)


def test_a_picture_of_other_proportions_is_not_squeezed(clevr_cases: Path, tmp_path: Path) -> None:
    split = open_split(clevr_cases / "320x240", "val", images=None, cache=tmp_path, verbose=False)
    small = np.asarray(Image.open(io.BytesIO(thumbnail(split, 0))))
    assert small.shape == (2 * HEIGHT, 2 * WIDTH, 3)
    white = (small.min(axis=2) > 240).all(axis=0)
    assert white.sum() == pytest.approx(2 * WIDTH - 2 * HEIGHT * 4 / 3, abs=6)
