"""An answer as a piece of HTML: picture, question, truth, best answers as bars, the map of pairs, the program.

HTML and not a figure, because it is drawn in a tenth of the time, and because the numbers can be read with the mouse.
`rnlib.evaluation.plots.examples` has the figure for pages without a kernel.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from rnlib.evaluation.attribution import PairMap
from rnlib.evaluation.examples import Answer
from rnlib.evaluation.plots.examples import AGAINST, FOR, LINES, OTHER_BAR, TRUE_BAR

_STYLE = """<style>
.rn-card {font-family: var(--jp-ui-font-family, sans-serif); font-size: 13px; line-height: 1.4; max-width: 1000px}
.rn-card .rn-question {font-size: 15px; font-weight: 600; margin: 4px 0}
.rn-card .rn-row {display: flex; flex-wrap: wrap; gap: 14px; align-items: flex-start}
.rn-card figure {margin: 0; width: 290px}
.rn-card figcaption {font-size: 12px; margin-top: 2px}
.rn-card img, .rn-card svg {width: 290px; height: auto; display: block; border-radius: 3px}
.rn-card table {border-collapse: collapse}
.rn-card td {padding: 2px 4px; text-align: left; white-space: nowrap}
.rn-card .rn-bar {height: 14px}
.rn-card .rn-note {margin: 6px 0; padding: 4px 8px; border-left: 3px solid #E69F00}
.rn-card .rn-chain {font-family: var(--jp-code-font-family, monospace); font-size: 12px; white-space: pre-wrap}
</style>"""


def card(answer: Answer, pairs: PairMap | None = None, chains: Sequence[str] = (), note: str = "") -> str:
    """All of an answer, and a note on its truth. Texts are escaped, so nothing in a data file can become HTML."""
    picture = picture_uri(answer.picture)
    parts = [
        f'<figure><img alt="the picture" width="290" src="{picture}">'
        f"<figcaption>{escape(answer.verdict)}</figcaption></figure>"
    ]
    if pairs:
        height, width = answer.picture.shape[:2]
        drawing = _pair_drawing(pairs, picture, width, height)
        parts.append(f"<figure>{drawing}<figcaption>{escape(pairs.title)}</figcaption></figure>")
    parts.append(_bars(answer))
    kind = f" <small>({escape(answer.type)})</small>" if answer.type else ""
    return (
        f'{_STYLE}<div class="rn-card"><div class="rn-question">{escape(answer.question)}{kind}</div>'
        f'<div class="rn-row">{"".join(parts)}</div>{_notes(chains, note)}</div>'
    )


def empty_card(text: str) -> str:
    """A card that has nothing to show, and says why."""
    return f'{_STYLE}<div class="rn-card rn-empty"><div class="rn-note">{escape(text)}</div></div>'


def comparison(
    question: str,
    picture: UInt8[np.ndarray, "height width 3"],
    opinions: Mapping[str, tuple[Answer | None, PairMap | None, str]],
    steps: Sequence[str] = (),
    note: str = "",
) -> str:
    """What several networks answer to one question, side by side, and the truth with its steps, or a note in its place.

    opinions: by network its answer, what carried it, and why it has none.
    """
    address = picture_uri(picture)
    height, width = picture.shape[:2]
    parts = []
    for name, (answer, pairs, problem) in opinions.items():
        drawing = _pair_drawing(pairs, address, width, height) if pairs else f'<img alt="the picture" src="{address}">'
        lines = [f"<b>{escape(name)}</b> {escape(answer.verdict if answer else problem)}"]
        lines += [escape(pairs.title)] if pairs else []
        bars = _bars(answer) if answer else ""
        parts.append(f"<figure>{drawing}<figcaption>{'<br>'.join(lines)}</figcaption>{bars}</figure>")
    truths = [answer.truth for answer, *_ in opinions.values() if answer and answer.truth]
    truth = f'<div class="rn-truth">truth: <b>{escape(truths[0])}</b></div>' if truths else ""
    return (
        f'{_STYLE}<div class="rn-card"><div class="rn-question">{escape(question)}</div>{truth}{_notes(steps, note)}'
        f'<div class="rn-row">{"".join(parts)}</div></div>'
    )


def _notes(chains: Sequence[str], note: str) -> str:
    text = f'<div class="rn-note">{escape(note)}</div>' if note else ""
    return text + (f'<div class="rn-chain">{escape(chr(10).join(chains))}</div>' if chains else "")


def picture_uri(picture: UInt8[np.ndarray, "height width 3"]) -> str:
    """A picture as an address that holds all of it (JPEG)."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="JPEG", quality=92)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _bars(answer: Answer) -> str:
    rows = []
    for name, probability in answer.top:
        color = TRUE_BAR if name == answer.truth else OTHER_BAR
        bar = f'<div class="rn-bar" style="width: {max(110 * probability, 1):.0f}px; background: {color}"></div>'
        rows.append(f"<tr><td>{escape(name)}</td><td>{bar}</td><td>{100 * probability:.1f} %</td></tr>")
    caption = "<small>probability; the truth in blue</small>" if answer.truth else "<small>probability</small>"
    return f'<div><table class="rn-top">{"".join(rows)}</table>{caption}</div>'


def _pair_drawing(pairs: PairMap, picture: str, width: int, height: int) -> str:
    """The map as in `plots.examples.draw_pair_map`, as SVG; each object says its share to the mouse."""
    shares = pairs.attribution.by_object.tolist()
    most = max(map(abs, shares), default=0.0) or 1.0
    places = pairs.places * (width, height)
    unit = width / 480  # of lengths, which are meant for a picture 480 pixels wide
    drawn = [f'<image href="{picture}" width="{width}" height="{height}" opacity="0.45"/>']
    if pairs.cells:
        rows, columns = pairs.cells
        for (x, y), share in zip(places, shares, strict=True):
            drawn.append(
                f'<rect x="{x - width / columns / 2:.1f}" y="{y - height / rows / 2:.1f}" '
                f'width="{width / columns:.1f}" height="{height / rows:.1f}" '
                f'fill="{_color(share)}" fill-opacity="{0.85 * abs(share) / most:.2f}">'
                f"<title>{share:+.2f} nats</title></rect>"
            )
    strongest = pairs.attribution.strongest(LINES)
    loudest = max((abs(value) for _, _, value in strongest), default=0) or 1.0
    for i, j, value in strongest:
        stroke = f'stroke="{_color(value)}" stroke-width="{6 * unit * abs(value) / loudest:.2f}" stroke-opacity="0.75"'
        (x, y), (to_x, to_y) = places[i], places[j]
        if i != j:
            drawn.append(
                f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" stroke-linecap="round" {stroke}>'
                f"<title>pair: {value:+.2f} nats</title></line>"
            )
        elif pairs.cells:
            drawn.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{12 * unit:.1f}" fill="none" {stroke}/>')
    if not pairs.cells:
        for (x, y), share, number in zip(places, shares, pairs.numbers, strict=True):
            radius = unit * (3 + 15 * (abs(share) / most) ** 0.5)
            size = f'font-size="{18 * unit:.0f}" stroke="white" stroke-width="{4 * unit:.1f}" paint-order="stroke"'
            drawn.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{_color(share)}" fill-opacity="0.6"/>'
                f'<text x="{x:.1f}" y="{y - 22 * unit:.1f}" text-anchor="middle" {size}>{number}</text>'
            )
    return f'<svg class="rn-pairs" viewBox="0 0 {width} {height}">{"".join(drawn)}</svg>'


def _color(value: float) -> str:
    return FOR if value > 0 else AGAINST
