"""What all widgets here share: rows that wrap in a narrow window, keys, and a card that stays where no kernel runs."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import anywidget
import ipywidgets as widgets
import traitlets

from rnlib.errors import RnlibError


class Panel(widgets.VBox):
    """The outermost box of a widget.

    name: a class of its own, by which styles and tests find it. `static_html` is what a page without a kernel shows in
    its place (GitHub, an HTML page): every notebook output of the widget carries it beside the widget itself.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.add_class(name)

    def static_html(self) -> str:
        """The widget as it looks at first, as HTML without controls."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **options: Any) -> Any:
        bundle = super()._repr_mimebundle_(**options)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        data["text/html"] = self.static_html()
        return bundle


def row(*children: widgets.Widget) -> widgets.HBox:
    """Widgets beside one another; what finds no room goes to the next line."""
    return widgets.HBox(children, layout=widgets.Layout(flex_flow="row wrap", align_items="center"))


def button(text: str, icon: str, action: Callable[[], None], **options: Any) -> widgets.Button:
    """A button as wide as its text."""
    made = widgets.Button(
        description=text, icon=icon, layout=widgets.Layout(width="auto", min_width="90px", flex="0 0 auto"), **options
    )
    made.on_click(lambda _: action())
    return made


def attempt(action: Callable[[], None], message: widgets.HTML) -> None:
    """Do what was asked for. What is wrong with it is said in `message`, which is empty else."""
    message.value = ""
    try:
        action()
    except RnlibError as error:
        message.value = escape(str(error), quote=False)


def choice(name: str, options: Sequence[Any], value: Any) -> widgets.Dropdown:
    """A drop-down list with its name."""
    layout = widgets.Layout(width="240px", flex="0 0 auto")
    style = {"description_width": "70px"}
    return widgets.Dropdown(options=list(options), value=value, description=name, layout=layout, style=style)


class Keys(anywidget.AnyWidget):
    """Listens for keys while the focus is in a panel (a click into it is enough), but not in its text boxes and lists.

    actions: what a key, by its name in the browser, does. It must be among the children of the panel.
    """

    _esm = """
    export default {
      render({ model, el }) {
        el.style.display = "none";
        const inside = (node) => node instanceof Element && node.closest("." + model.get("panel"));
        const prepare = () => {
          const panel = inside(el);
          if (panel) panel.tabIndex = 0;
          else if (!el.isConnected) requestAnimationFrame(prepare);
        };
        requestAnimationFrame(prepare);
        const listen = (event) => {
          const panel = inside(event.target);
          if (!panel || !panel.contains(el) || event.ctrlKey || event.altKey || event.metaKey) return;
          if (event.target.matches("input, select, textarea, [role=slider]")) return;
          if (!model.get("heard").includes(event.key)) return;
          event.preventDefault();
          event.stopImmediatePropagation();
          model.send({ key: event.key });
        };
        // On the window, which hears keys before JupyterLab's own shortcuts do.
        window.addEventListener("keydown", listen, true);
        return () => window.removeEventListener("keydown", listen, true);
      },
    };
    """
    panel = traitlets.Unicode().tag(sync=True)
    heard = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(self, panel: Panel, actions: Mapping[str, Callable[[], None]]) -> None:
        super().__init__(panel=panel.name, heard=list(actions))
        self._actions = actions
        self.on_msg(lambda _, content, __: self.press(content.get("key", "")))

    def press(self, key: str) -> None:
        """What happens when a key goes down."""
        if key in self._actions:
            self._actions[key]()
