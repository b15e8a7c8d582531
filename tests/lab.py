"""A real JupyterLab in a headless Chromium, for tests: open a notebook, run it, find a widget in it, work it.

    with open_lab(folder) as lab:
        inspector = lab.widget_of("04_evaluation", "rn-inspector")
        lab.press(inspector, "next")

`folder` has notebooks/ and params/ (copies: JupyterLab may write into them). Everything waits for what it looks for,
and fails with a picture of the page where it does not come. RNLIB_SCREENSHOTS names a folder for pictures to look at.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import nbformat
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException, WebDriverException
from selenium.webdriver import ActionChains, Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 240.0  # seconds for anything to appear: generous, since a busy machine is slow
T = TypeVar("T")

FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--window-size=1300,1500",
]  # fmt: skip
SETTINGS = {
    # All cells in the page, not only those that can be seen; no questions about news.
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True},
}


def chromium() -> str | None:
    """The path of Chromium (or Chrome), where it is installed together with its driver."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None) if shutil.which("chromedriver") else None


def copy_notebooks(folder: Path, values: dict[str, dict[str, Any]]) -> None:
    """notebooks/ and params/ without outputs, with values in the cell of parameters as a person would type them.

    `values`: notebook -> parameter -> value.
    """
    shutil.copytree(ROOT / "params", folder / "params")
    (folder / "notebooks").mkdir()
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
            if "parameters" in cell.metadata.get("tags", []):
                for name, value in values.get(path.stem, {}).items():
                    lines = [
                        f"{line.partition(' = ')[0]} = {value!r}  # {line.partition('  # ')[2]}"
                        if line.startswith(f"{name}: ")
                        else line
                        for line in cell.source.splitlines()
                    ]
                    assert lines != cell.source.splitlines(), f"{path.name} has no parameter {name}"
                    cell.source = "\n".join(lines)
        nbformat.write(notebook, folder / "notebooks" / path.name)


@contextmanager
def open_lab(folder: Path) -> Iterator["Lab"]:
    """JupyterLab on `folder`, without a token on a free port of 127.0.0.1, and a browser that shows it."""
    settings = folder / "settings"
    for name, value in SETTINGS.items():
        path = settings / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "RNLIB_ROOT": str(folder),
        "RNLIB_OUTPUTS": str(folder / "outputs"),
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "JUPYTERLAB_SETTINGS_DIR": str(settings),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "IPYTHONDIR": str(folder / "ipython"),
    }
    environment.pop("WORLD_SIZE", None)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--port={port}", "--ip=127.0.0.1", "--allow-root"]
    command += ["--ServerApp.port_retries=0", "--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True"]
    command += [f"--ServerApp.root_dir={folder}", "--LabApp.extension_manager=readonly", "--LabApp.news_url=None"]
    log = folder / "jupyterlab.log"
    with open(log, "wb") as output:
        server = subprocess.Popen(command, env=environment, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
    driver = None
    try:
        _wait_for_server(port, server, log)
        options = ChromeOptions()
        for flag in [*FLAGS, f"--user-data-dir={folder / 'browser'}"]:
            options.add_argument(flag)
        options.binary_location = str(chromium())
        options.page_load_strategy = "eager"
        driver = Chrome(options=options, service=ChromeService(shutil.which("chromedriver")))
        yield Lab(driver, f"http://127.0.0.1:{port}", folder)
    finally:
        if driver is not None:
            driver.quit()
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait_for_server(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")


class Lab:
    """The page of a JupyterLab. Elements are found by classes and by the words on them, as a person finds them."""

    def __init__(self, driver: Chrome, address: str, folder: Path) -> None:
        self.driver, self.address, self.folder = driver, address, folder
        self.name = ""

    def widget_of(self, notebook: str, widget: str) -> WebElement:
        """The widget of a notebook that is open and has run; it is opened and run first where another one is open."""
        if self.name != notebook:
            self.open_notebook(notebook)
            self.run_all()
        return self.find_widget(widget)

    def open_notebook(self, name: str) -> None:
        """Open notebooks/<name>.ipynb with a kernel that has started; an earlier page is left."""
        self.name = name
        self.driver.get(f"{self.address}/lab/tree/notebooks/{name}.ipynb?reset")
        self.wait_for(lambda: self.driver.find_elements(By.CSS_SELECTOR, ".jp-NotebookPanel .jp-Cell"), "the cells")
        self.wait_for(lambda: self._kernel_state() in ("idle", "busy"), "a kernel")

    def write_notebook(self, name: str, source: str) -> None:
        """Make notebooks/<name>.ipynb with one cell of code."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source.strip())])
        notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
        nbformat.write(notebook, self.folder / "notebooks" / f"{name}.ipynb")

    def run_all(self) -> None:
        """Run all cells and wait for the last one; a cell that fails fails the test, with its error."""
        self.execute("notebook:run-all-cells")

        def done() -> bool:
            cells = self.driver.execute_script(
                "return window.jupyterapp.shell.currentWidget.content.widgets"
                ".filter(cell => cell.model.type === 'code' && cell.model.sharedModel.getSource().trim())"
                ".map(cell => [cell.model.executionCount, cell.model.outputs.toJSON()"
                ".filter(output => output.output_type === 'error').map(output => output.evalue)])"
            )
            errors = [error for _, found in cells for error in found]
            assert not errors, f"a cell of {self.name} failed: {errors[0]}"
            return all(count for count, _ in cells) and self._kernel_state() == "idle"

        self.wait_for(done, f"all cells of {self.name} to have run", 300)

    def execute(self, command: str) -> None:
        """Run a command of JupyterLab, such as an entry of its menus does."""
        self.driver.execute_script("window.jupyterapp.commands.execute(arguments[0])", command)

    def add_cell(self, source: str) -> None:
        """Put a code cell at the end of the notebook and run it; not waited for."""
        self.driver.execute_script(
            "const panel = window.jupyterapp.shell.currentWidget;"
            "panel.content.activeCellIndex = panel.content.widgets.length - 1;"
        )
        self.driver.execute_async_script(
            "const [source, done] = arguments; const app = window.jupyterapp;"
            "app.commands.execute('notebook:insert-cell-below').then(() => {"
            "  app.shell.currentWidget.content.activeCell.model.sharedModel.setSource(source);"
            "  app.commands.execute('notebook:run-cell'); done();});",
            source,
        )

    def find_widget(self, name: str) -> WebElement:
        """The one element with the class that a widget gave itself, scrolled into sight."""
        found = self.wait_for(lambda: self.driver.find_elements(By.CSS_SELECTOR, f".{name}"), f"the widget {name}")
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'start'})", found[-1])
        return found[-1]

    def press(self, widget: WebElement, button: str) -> None:
        """Click the button of a widget that has this text on it."""

        def click() -> bool:
            named = [one for one in widget.find_elements(By.CSS_SELECTOR, "button") if one.text.strip() == button]
            if named:
                named[0].click()
            return bool(named)

        self.wait_for(click, f"a button '{button}'")

    def choose(self, widget: WebElement, description: str, option: str) -> None:
        """Choose an option in the dropdown of a widget that has this description."""

        def click() -> None:
            for box in widget.find_elements(By.CSS_SELECTOR, ".widget-dropdown"):
                if box.find_element(By.CSS_SELECTOR, "label").text == description:
                    options = {one.text: one for one in box.find_elements(By.CSS_SELECTOR, "option")}
                    assert option in options, f"'{description}' offers {list(options)}, not '{option}'"
                    options[option].click()
                    return
            raise AssertionError(f"the widget has no choice '{description}'")

        self.steadily(click)

    def type(self, widget: WebElement, text: str, enter: bool = False, field: str = "input[type=text]") -> None:
        """Type into a text box of a widget in place of what is there."""

        def write() -> None:
            box = widget.find_element(By.CSS_SELECTOR, field)
            box.click()
            box.send_keys(Keys.CONTROL, "a")
            box.send_keys(text + (Keys.ENTER if enter else ""))

        self.steadily(write)

    def click(self, widget: WebElement, selector: str, number: int = 0) -> None:
        """Click one of the elements of a widget that a CSS selector finds."""

        def click() -> bool:
            found = widget.find_elements(By.CSS_SELECTOR, selector)
            if len(found) > number:
                found[number].click()
            return len(found) > number

        self.wait_for(click, f"{number + 1} of {selector}")

    def settle(self, widget: WebElement) -> None:
        """Wait until the kernel has nothing to do and a widget has looked the same for a while."""

        def look() -> tuple[str, str]:
            return self._kernel_state(), widget.get_attribute("innerHTML")

        def settled() -> bool:
            before = look()
            time.sleep(0.3)
            return before[0] == "idle" and look() == before

        self.wait_for(settled, "a widget that stands still")

    def key(self, widget: WebElement, *keys: str) -> None:
        """Click on the question of a widget, then press keys one after another."""
        self.click(widget, ".rn-question")
        ActionChains(self.driver).send_keys(*keys).perform()

    def drag(self, element: WebElement, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drag the mouse over an element from one point to another (parts of its width and height)."""
        width, height = element.size["width"], element.size["height"]
        offsets = [(round((x - 0.5) * width), round((y - 0.5) * height)) for x, y in (start, end)]
        chain = ActionChains(self.driver).move_to_element_with_offset(element, *offsets[0]).click_and_hold()
        for part in (0.3, 0.7, 1.0):
            x, y = (round(a + part * (b - a)) for a, b in zip(*offsets, strict=True))
            chain = chain.move_to_element_with_offset(element, x, y)
        chain.release().perform()

    @contextmanager
    def as_wide_as(self, pixels: int) -> Iterator[None]:
        """A window of another width for a while."""
        self.driver.set_window_size(pixels, 1500)
        try:
            yield
        finally:
            self.driver.set_window_size(1300, 1500)

    def hidden_controls(self, widget: WebElement) -> list[str]:
        """Buttons, boxes and lists of a widget that reach beyond it, or are too narrow to read."""

        def hidden() -> list[str]:
            edge = widget.rect["x"] + widget.rect["width"]
            found = widget.find_elements(By.CSS_SELECTOR, "button, select, input[type=text], input[type=number]")
            shown = [one for one in found if one.is_displayed()]
            return [
                one.text or one.tag_name
                for one in shown
                if one.rect["x"] + one.rect["width"] > edge + 1 or one.rect["width"] < 40
            ]

        return self.steadily(hidden)

    def steadily(self, look: Callable[[], T]) -> T:
        """What `look` does and returns; from its beginning again where the page was redrawn under it."""
        return self.wait_for(lambda: [look()], "a page that stands still")[0]

    def wait_for_text(self, widget: WebElement, text: str, seconds: float = PATIENCE) -> None:
        """Wait until a widget shows this text."""
        self.wait_for(lambda: text in widget.text, f"the text '{text}'", seconds)

    def wait_for(self, look: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
        """What `look` returns, as soon as that is true. The page may change while it is looked at."""
        end = time.monotonic() + seconds
        while True:
            try:
                if found := look():
                    return found
            except (StaleElementReferenceException, NoSuchElementException):
                pass
            if time.monotonic() > end:
                picture = self.screenshot("failure")
                raise AssertionError(f"expected {what} on the page within {seconds:.0f} s; see {picture}")
            time.sleep(0.05)

    def texts(self, selector: str) -> list[str]:
        """The texts of all elements that a CSS selector finds."""
        script = "return [...document.querySelectorAll(arguments[0])].map(one => one.textContent)"
        return self.driver.execute_script(script, selector)

    def screenshot(self, name: str, widget: WebElement | None = None) -> Path:
        """A picture of the page, or of one widget, in $RNLIB_SCREENSHOTS (else in the lab's folder)."""
        folder = Path(os.environ.get("RNLIB_SCREENSHOTS") or self.folder / "screenshots")
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.png"
        try:
            (widget or self.driver.find_element(By.TAG_NAME, "body")).screenshot(str(path))
        except WebDriverException:
            self.driver.save_screenshot(str(path))
        return path

    def _kernel_state(self) -> str:
        return self.driver.execute_script(
            "const panel = window.jupyterapp?.shell.currentWidget;"
            "return panel?.sessionContext?.session?.kernel?.status ?? '';"
        )
