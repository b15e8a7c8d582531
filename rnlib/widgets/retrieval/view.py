"""The retrieval browser: `RetrievalBrowser(Search(...))` as the last line of a cell in JupyterLab.

Every picture is a button (its picture is the button's background), so a click on it makes it the query.
"""

import base64
import io
from collections.abc import Callable

import ipywidgets as widgets
from PIL import Image

from rnlib.clevr.plots import picture
from rnlib.widgets.retrieval.state import TRUTH, Found, Search

WIDTH, HEIGHT = 120, 80


class RetrievalBrowser(widgets.VBox):
    """The query, the pictures found by a feature, and those the ground truth would find. All it does is in `Search`."""

    def __init__(self, search: Search) -> None:
        super().__init__()
        self.search = search
        self.feature = widgets.Dropdown(options=search.names, value=search.feature, description="feature")
        self.random = widgets.Button(description="random query", icon="random")
        self.objects = widgets.IntRangeSlider(
            value=(search.fewest, search.most), min=search.fewest, max=search.most, description="objects"
        )
        self.headline = widgets.Label()
        self.query = PictureButton(search.query_row, "the query", self._look_for)
        self.found = widgets.HBox(layout=_WRAPPED)
        self.truth = widgets.HBox(layout=_WRAPPED)
        self.message = widgets.Label()
        self.feature.observe(lambda _: self._filter(), names="value")
        self.objects.observe(lambda _: self._filter(), names="value")
        self.random.on_click(lambda _: self._jump())
        controls = [self.feature, *([self.objects] if search.has_scenes else []), self.random]
        self.found_title, self.truth_title = widgets.Label(), widgets.Label("nearest by the ground truth of scenes")
        for widget, name in (
            (self, "rn-retrieval"), (self.headline, "rn-headline"), (self.query, "rn-query"), (self.found, "rn-found"),
            (self.truth, "rn-truth"), (self.message, "rn-message"),
        ):  # fmt: skip
            widget.add_class(name)
        self.children = [
            widgets.HBox(controls),
            self.headline,
            self.query,
            self.found_title,
            self.found,
            *([self.truth_title, self.truth] if search.has_scenes else []),
            self.message,
        ]
        self._show()

    def _filter(self) -> None:
        fewest, most = self.objects.value
        self.search.choose(feature=self.feature.value, fewest=fewest, most=most)
        self._show()

    def _jump(self) -> None:
        self.search.jump()
        self._show()

    def _look_for(self, row: int) -> None:
        self.search.look_for(row)
        self._show()

    def _show(self) -> None:
        search = self.search
        found = search.found()
        self.headline.value = search.headline
        self.query.show(search, search.query_row, "the query")
        self.found_title.value = f"nearest by {search.feature}"
        self.found.children = [self._picture(one) for one in found]
        if search.has_scenes:
            self.truth.children = [self._picture(one) for one in search.found(TRUTH)]
        self.message.value = "" if found else "no other picture has that many objects: widen the filter"

    def _picture(self, one: Found) -> "PictureButton":
        apart = "" if one.scenes_apart is None else f": {one.scenes_apart:g} apart"
        button = PictureButton(one.row, f"{one.rank}{apart}", self._look_for)
        button.show(self.search, one.row, f"{one.rank}{apart}")
        return button


class PictureButton(widgets.VBox):
    """A picture that can be clicked, with a caption below."""

    def __init__(self, row: int, caption: str, on_click: Callable[[int], None]) -> None:
        super().__init__()
        self.row = row
        self.style_sheet = widgets.HTML(layout=widgets.Layout(display="none"))
        self.button = widgets.Button(layout=widgets.Layout(width=f"{WIDTH}px", height=f"{HEIGHT}px", margin="1px"))
        self.button.on_click(lambda _: on_click(self.row))
        self.caption = widgets.Label(caption)
        self.children = [self.button, self.caption, self.style_sheet]

    def show(self, search: Search, row: int, caption: str) -> None:
        """Change to another picture of the split."""
        name = f"rn-picture-{row}"
        self.button.remove_class(f"rn-picture-{self.row}")
        self.row = row
        self.button.add_class("rn-picture")
        self.button.add_class(name)
        self.button.tooltip = f"search for pictures like {search.split.image_filenames[row]}"
        self.caption.value = caption
        # ipywidgets' buttons have no trait for a picture: a style rule beside the button gives it its background.
        address = f"data:image/jpeg;base64,{base64.b64encode(thumbnail(search, row)).decode()}"
        self.style_sheet.value = (
            f"<style>.{name} {{ background: url({address}) center / cover no-repeat !important; }}</style>"
        )


def thumbnail(search: Search, row: int) -> bytes:
    """A small JPEG of a picture (a row of the split)."""
    buffer = io.BytesIO()
    Image.fromarray(picture(search.split, row)).resize((2 * WIDTH, 2 * HEIGHT)).save(buffer, "jpeg", quality=80)
    return buffer.getvalue()


_WRAPPED = widgets.Layout(flex_flow="row wrap")
