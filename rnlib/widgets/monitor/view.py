"""The training monitor: `Monitor(Monitoring(...), "state descriptions")` as the last line of a cell in JupyterLab."""

import base64
import io
import threading
import time
from collections.abc import Callable
from html import escape

import ipywidgets as widgets

from rnlib.training.curves import plot_monitor
from rnlib.widgets.monitor.state import Monitoring
from rnlib.widgets.panel import Panel, attempt, button, row

REFRESH = 1.0  # seconds


class Monitor(Panel):
    """Live curves over the known ones of a `kind`; pause, go on, stop, train on. All it does is in `Monitoring`."""

    def __init__(self, monitoring: Monitoring, kind: str) -> None:
        super().__init__("rn-monitor")
        self.monitoring, self.kind = monitoring, kind
        self.epochs = widgets.BoundedIntText(
            value=5, min=1, max=10_000, description="epochs", layout=widgets.Layout(width="160px")
        )
        self.start = button("train on", "play", lambda: self._do(self._start), button_style="primary")
        self.pause = button("pause", "pause", lambda: self._do(monitoring.pause))
        self.go_on = button("go on", "play", lambda: self._do(monitoring.go_on))
        self.stop = button("stop", "stop", lambda: self._do(monitoring.stop), button_style="warning")
        self.follow = widgets.ToggleButton(
            description="follow", icon="eye", tooltip="refresh every second", layout=self.start.layout
        )
        self.message = widgets.HTML()
        self.status = widgets.Label()
        self.figure = widgets.Image(format="png", layout=widgets.Layout(width="calc(100% - 4px)", max_width="1000px"))
        self._drawn: tuple[object, ...] = ()
        self._lock = threading.Lock()
        self.follow.observe(lambda change: self._follow() if change["new"] else None, names="value")
        self.children = [
            row(self.start, self.epochs, self.pause, self.go_on, self.stop, self.follow),
            self.message,
            self.status,
            self.figure,
        ]
        self.refresh()

    def static_html(self) -> str:
        """The curves and the status."""
        picture = base64.b64encode(bytes(self.figure.value)).decode()
        return (
            f"<p>{escape(self.status.value)}</p>"
            f'<img alt="training loss and validation accuracy" src="data:image/png;base64,{picture}">'
        )

    def refresh(self) -> None:
        """Show the newest report; the curves are drawn again only where there is more of them."""
        with self._lock:
            self.status.value = self.monitoring.status
            possible = self.monitoring.possible
            for name, one in (("start", self.start), ("pause", self.pause), ("go on", self.go_on), ("stop", self.stop)):
                one.disabled = name not in possible
            history, steps = self.monitoring.history(), self.monitoring.steps()
            if (len(history), len(steps)) != self._drawn:
                self._drawn = len(history), len(steps)
                buffer = io.BytesIO()
                plot_monitor(history, steps, self.kind).savefig(buffer, format="png", dpi=100)
                self.figure.value = buffer.getvalue()

    def _do(self, action: Callable[[], None]) -> None:
        attempt(action, self.message)
        self.refresh()

    def _start(self) -> None:
        self.monitoring.start(self.epochs.value)
        self.follow.value = True

    def _follow(self) -> None:
        """Refresh in a thread while "follow" is on and the training runs."""
        threading.Thread(target=self._watch, name="monitor", daemon=True).start()

    def _watch(self) -> None:
        while self.follow.value:
            going_on = self.monitoring.going_on
            self.refresh()
            if not going_on:
                self.follow.value = False
                return
            time.sleep(REFRESH)
