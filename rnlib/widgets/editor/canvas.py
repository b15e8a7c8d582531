"""The picture of a scene in which objects can be selected and dragged with the mouse, a pen or a finger.

While an object is dragged only its outline moves; where it is dropped is told to whoever listens.
"""

from collections.abc import Callable
from typing import Any

import anywidget
import traitlets


class SceneCanvas(anywidget.AnyWidget):
    """A picture with outlines of its objects.

    picture: address of the picture (a data URI). outlines: of each object x and y as parts of the picture's width and
    height, and its radius as a part of the width. selected: which of them is marked, -1: none. labels: what they are.
    on_select(number) and on_drop(number, x, y) are called as the person does so.
    """

    _esm = """
    const NS = "http://www.w3.org/2000/svg", WIDTH = 480, HEIGHT = 320, MARK = "#D55E00";
    export default {
      render({ model, el }) {
        const make = (name, values, parent) => {
          const node = parent.appendChild(document.createElementNS(NS, name));
          for (const [key, value] of Object.entries(values)) node.setAttribute(key, value);
          return node;
        };
        el.style.cssText = `flex: 0 1 ${WIDTH}px; width: ${WIDTH}px; max-width: 100%; cursor: grab`;
        el.style.touchAction = el.style.userSelect = "none";
        const svg = make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "rn-scene", role: "img" }, el);
        svg.style.cssText = "display: block; width: 100%; border-radius: 3px";
        const image = make("image", { width: WIDTH, height: HEIGHT }, svg);
        const marks = make("g", {}, svg);
        const line = { fill: "none", stroke: MARK, "stroke-width": 3 };
        const ghost = make("circle", { ...line, "stroke-dasharray": "6 4", visibility: "hidden" }, svg);
        const show = () => {
          const labels = model.get("labels");
          image.setAttribute("href", model.get("picture"));
          svg.setAttribute("aria-label", "the scene: " + labels.join(", "));
          marks.replaceChildren();
          model.get("outlines").forEach(([x, y, r], number) => {
            const chosen = number === model.get("selected");
            const place = { cx: WIDTH * x, cy: HEIGHT * y, r: WIDTH * r + 3, class: chosen ? "rn-selected" : "" };
            const mark = make("circle", { ...line, ...place, stroke: chosen ? MARK : "none" }, marks);
            mark.setAttribute("pointer-events", "all");
            make("title", {}, mark).textContent = labels[number] ?? "";
          });
        };
        const at = (event) => {
          const box = svg.getBoundingClientRect();
          return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
        };
        let drag = null;
        svg.addEventListener("pointerdown", (event) => {
          const [x, y] = at(event);
          let nearest = Infinity;
          model.get("outlines").forEach(([ox, oy, r], number) => {
            const far = Math.hypot(WIDTH * (x - ox), HEIGHT * (y - oy));
            if (far > WIDTH * r + 6 || far >= nearest) return;
            nearest = far;
            drag = { number, r, dx: x - ox, dy: y - oy, from: [event.clientX, event.clientY], moved: false };
          });
          if (!drag) return;
          svg.setPointerCapture(event.pointerId);
          model.send({ select: drag.number });
        });
        svg.addEventListener("pointermove", (event) => {
          if (!drag) return;
          drag.moved ||= Math.hypot(event.clientX - drag.from[0], event.clientY - drag.from[1]) > 3;
          const [x, y] = at(event);
          ghost.setAttribute("cx", WIDTH * (x - drag.dx));
          ghost.setAttribute("cy", HEIGHT * (y - drag.dy));
          ghost.setAttribute("r", WIDTH * drag.r);
          ghost.setAttribute("visibility", drag.moved ? "visible" : "hidden");
        });
        const end = (event, drop) => {
          if (drag && drop && drag.moved) {
            const [x, y] = at(event);
            model.send({ drop: [drag.number, x - drag.dx, y - drag.dy] });
          }
          drag = null;
          ghost.setAttribute("visibility", "hidden");
        };
        svg.addEventListener("pointerup", (event) => end(event, true));
        svg.addEventListener("pointercancel", (event) => end(event, false));
        svg.addEventListener("dragstart", (event) => event.preventDefault());
        for (const name of ["picture", "outlines", "selected", "labels"]) model.on("change:" + name, show);
        show();
        return () => ["picture", "outlines", "selected", "labels"].forEach((name) => model.off("change:" + name, show));
      },
    };
    """
    picture = traitlets.Unicode().tag(sync=True)
    outlines: Any = traitlets.List().tag(sync=True)
    selected = traitlets.Int(-1).tag(sync=True)
    labels = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(self, on_select: Callable[[int], None], on_drop: Callable[[int, float, float], None]) -> None:
        super().__init__()
        self._on_select, self._on_drop = on_select, on_drop
        self.on_msg(lambda _, content, __: self.receive(content))

    def receive(self, content: dict[str, Any]) -> None:
        """What the page tells: {"select": number} or {"drop": [number, x, y]}."""
        if "select" in content:
            self._on_select(int(content["select"]))
        elif "drop" in content:
            number, x, y = content["drop"]
            self._on_drop(int(number), float(x), float(y))
