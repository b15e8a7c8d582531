"""A drawing of a Relation Network that answers one question, with the shapes of its tensors, as SVG.

RN(O) = f( sum_{i,j} g(o_i, o_j, q) )                      (Santoro et al. 2017, eq. 1)
"""

from collections.abc import Sequence
from html import escape
from textwrap import wrap

from rnlib.errors import ConfigError
from rnlib.model.preset import Preset

WIDTH, HEIGHT = 1000, 330
SEEN, ASKED, SUMMED = "#0072B2", "#D55E00", "#009E73"  # told apart with any colour vision


def network_diagram(preset: Preset, objects: int, question: str, words: int, answer: str) -> str:
    """The way of one question through the network of a preset, as SVG text.

    objects: of the scene (rows that are summed over). question, answer: in words. words: of the question, marks
    included. Raises ConfigError for a preset that sums no pairs.
    """
    if not preset.sums_pairs or preset.aggregation_layer is not None:
        raise ConfigError(f"expected a preset that sums g over pairs, found '{preset.name}'. Choose another.")
    size, hidden, pairs = preset.object_size, preset.lstm_hidden, objects**2
    source = f"from {preset.kind.label}"
    joins = "" if preset.question_layer == 0 else f" (q joins at layer {preset.question_layer})"
    g, f = (" → ".join(map(str, layers)) for layers in (preset.g_layers, preset.f_layers))
    last = preset.g_layers[-1]
    label = (
        f"A Relation Network: {objects} objects make {pairs} pairs; g reads each with the question; f reads the sum."
    )
    parts = [
        _box(8, 20, 220, 110, SEEN, ("objects oᵢ", source, f"{objects} × {size}")),
        _box(8, 160, 220, 160, ASKED, ("question", *wrap(question, 34)[:4], f"{words} words → LSTM → q: {hidden}")),
        _box(268, 70, 180, 130, SEEN, ("all ordered pairs", "(oᵢ, oⱼ, q)", f"{pairs} × ({size} + {size} + {hidden})")),
        _box(486, 70, 180, 130, SEEN, ("g for each pair", f"{g}{joins}", f"{pairs} × {last}")),
        _box(704, 70, 94, 130, SUMMED, ("Σ", "over pairs", f"{last}")),
        _box(836, 70, 156, 130, SUMMED, ("f", f"{f} → 28", f"“{answer}”")),
        *(_arrow(*ends) for ends in ((228, 75, 268, 110), (228, 240, 268, 165), (448, 135, 486, 135))),
        *(_arrow(*ends) for ends in ((666, 135, 704, 135), (798, 135, 836, 135))),
        _grid(min(objects, 10), 358, 215),
        _text(358, 314, "one small square per pair", 12),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="100%" role="img" '
        f'aria-label="{escape(label)}" font-family="sans-serif"><title>{escape(label)}</title>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>'
        f'<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0,0L10,5L0,10z" fill="#444"/></marker></defs>{"".join(parts)}</svg>'
    )


def _box(x: int, y: int, width: int, height: int, color: str, lines: Sequence[str]) -> str:
    """A box: its first line is the heading, its last the shape of what leaves it."""
    middle, step = x + width // 2, (height - 26) / max(len(lines) - 1, 1)
    texts = [_text(middle, y + 20, lines[0], 14, "bold")]
    texts += [_text(middle, int(y + 20 + step * k), line, 12) for k, line in enumerate(lines[1:-1], 1)]
    texts.append(_text(middle, y + height - 12, lines[-1], 13, "bold"))
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="8" fill="{color}" fill-opacity="0.12" '
        f'stroke="{color}" stroke-width="1.5"/>{"".join(texts)}'
    )


def _text(x: int, y: int, text: str, size: int, weight: str = "normal") -> str:
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" font-weight="{weight}" text-anchor="middle" fill="#111">'
        f"{escape(text)}</text>"
    )


def _arrow(x: int, y: int, to_x: int, to_y: int) -> str:
    return f'<line x1="{x}" y1="{y}" x2="{to_x}" y2="{to_y}" stroke="#444" stroke-width="1.5" marker-end="url(#tip)"/>'


def _grid(side: int, x: int, y: int) -> str:
    """side x side little squares, centred at x."""
    cell = 80 / side
    return "".join(
        f'<rect x="{x - 40 + cell * i:.1f}" y="{y + cell * j:.1f}" width="{cell - 1.5:.1f}" height="{cell - 1.5:.1f}" '
        f'fill="{SEEN}" fill-opacity="{0.25 if i != j else 0.6}"/>'
        for i in range(side)
        for j in range(side)
    )
