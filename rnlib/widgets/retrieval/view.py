"""The retrieval browser: `RetrievalBrowser(Search(...))` as the last line of a cell in JupyterLab.

Every picture is a button (its picture is the button's background), so a click on it makes it the query, and so do Tab
and Enter. The right arrow draws another query.
"""

import base64
import io
from collections.abc import Callable, Sequence
from html import escape

import ipywidgets as widgets
from PIL import Image, ImageOps

from rnlib.clevr.plots import picture
from rnlib.clevr.split import Split
from rnlib.widgets.panel import Keys, Panel, button, choice, row
from rnlib.widgets.retrieval.state import TRUTH, Found, Search

WIDTH, HEIGHT = 120, 80


class RetrievalBrowser(Panel):
    """The query, the pictures found by a feature, and those the ground truth would find. All it does is in `Search`."""

    def __init__(self, search: Search) -> None:
        super().__init__("rn-retrieval")
        self.search = search
        self.feature = choice("feature", search.names, search.feature)
        self.random = button("random query", "random", self._jump)
        self.objects = widgets.IntRangeSlider(
            value=(search.fewest, search.most), min=search.fewest, max=search.most, description="objects"
        )
        self.keyboard = Keys(self, {"ArrowRight": self.random.click})
        self.headline = widgets.Label()
        self.query = PictureButton(search.query_row, "the query", self._look_for)
        self.found, self.truth = row(), row()
        self.message = widgets.Label()
        self.feature.observe(lambda _: self._filter(), names="value")
        self.objects.observe(lambda _: self._filter(), names="value")
        counts: list[widgets.Widget] = []
        if search.has_scenes:
            alike = search.fewest == search.most
            counts = [widgets.Label(f"all pictures have {search.most} objects") if alike else self.objects]
        self.found_title, self.truth_title = widgets.Label(), widgets.Label(f"nearest by the {TRUTH} of scenes")
        for widget, name in (
            (self.headline, "rn-headline"), (self.query, "rn-query"), (self.found, "rn-found"),
            (self.truth, "rn-truth"), (self.message, "rn-message"),
        ):  # fmt: skip
            widget.add_class(name)
        self.children = [
            row(self.feature, *counts, self.random, self.keyboard),
            self.message,
            self.headline,
            self.query,
            self.found_title,
            self.found,
            *([self.truth_title, self.truth] if search.has_scenes else []),
        ]
        self._show()

    def static_html(self) -> str:
        """The query and what is found, as pictures."""
        search = self.search
        parts = [_strip(search, search.headline, [(search.query_row, "the query")])]
        for title, name in ((self.found_title.value, search.feature), (self.truth_title.value, TRUTH)):
            if name in search.names:
                parts.append(_strip(search, title, [(one.row, _caption(one)) for one in search.found(name)]))
        return "".join(parts)

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
        self.message.value = "" if found else search.advice

    def _picture(self, one: Found) -> "PictureButton":
        made = PictureButton(one.row, _caption(one), self._look_for)
        made.show(self.search, one.row, _caption(one))
        return made


def _caption(one: Found) -> str:
    return f"{one.rank}" if one.scenes_apart is None else f"{one.rank}: {one.scenes_apart:g} apart"


def _strip(search: Search, title: str, pictures: Sequence[tuple[int, str]]) -> str:
    """A line of pictures (rows of the split) with captions, as HTML."""
    cells = [
        f'<td style="text-align: center"><img width="{WIDTH}" height="{HEIGHT}" alt="{escape(caption)}" '
        f'src="{_address(search, row)}"><br>{escape(caption)}</td>'
        for row, caption in pictures
    ]
    return f"<p>{escape(title)}</p><table><tr>{''.join(cells)}</tr></table>"


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
        look = f"background: url({_address(search, row)}) center / cover no-repeat !important;"
        self.style_sheet.value = f"<style>.{name} {{ {look} }}</style>"


def thumbnail(split: Split, row: int) -> bytes:
    """A small JPEG of a picture (a row of the split), on white where its proportions are not CLEVR's 3:2."""
    buffer, size = io.BytesIO(), (2 * WIDTH, 2 * HEIGHT)
    ImageOps.pad(Image.fromarray(picture(split, row)), size, color="white").save(buffer, "jpeg", quality=80)
    return buffer.getvalue()


def _address(search: Search, row: int) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(thumbnail(search.split, row)).decode()}"
