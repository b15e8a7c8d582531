"""A training asked by its folder to pause, stop and go on, and the monitor that asks; all without a browser."""

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import msgspec
import pandas as pd
import pytest
import torch

from rnlib.clevr import Split, clevr_v1, open_split
from rnlib.errors import ConfigError, DataError
from rnlib.model import load_preset, load_weights
from rnlib.training import Options, Recipe, TrainingFolder, make_recipe, pause_stop, plot_monitor, train
from rnlib.training.curves import known_curves, plot_against_reference
from rnlib.training.pause_stop import Requests, progress_of, request, requested
from rnlib.training.resume_state import Position, load_state
from rnlib.widgets.monitor import view as monitor_module
from rnlib.widgets.monitor.state import Monitoring
from rnlib.widgets.monitor.view import Monitor

SMALL = {"g_layers": [8, 8], "f_layers": [8, 8], "lstm_hidden": 8, "word_embedding": 4}
FIELDS = {"epochs": 2, "batch_size": 40, "lr": 1e-3, "lr_gamma": 1, "log_every": 1, "seed": 3}
PATIENCE = 60.0  # seconds for a thread to do what it is asked


@pytest.fixture(autouse=True)
def _reports_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pause_stop, "EVERY", 0.0)
    monkeypatch.setattr(pause_stop, "LOOK", 0.0)
    monkeypatch.setattr(monitor_module, "REFRESH", 0.01)


@pytest.fixture(scope="module")
def splits(tiny_clevr: Path) -> tuple[Split, Split]:
    return tuple(open_split(tiny_clevr, name, images=None, verbose=False) for name in ("train", "val"))  # type: ignore[return-value]


def trainer(splits: tuple[Split, Split], out: Path, **options: Any) -> Callable[..., TrainingFolder]:
    """`train` on a small network, waiting for the recipe."""
    given = Options(vocabulary=clevr_v1(), verbose=False, **options)
    return partial(train, load_preset("original-sd", SMALL), splits=splits, out=out, options=given)


def recipe(**changes: Any) -> Recipe:
    return make_recipe({**FIELDS, **changes})


def at_step(step: int, action: Callable[[], None]) -> Iterator[None]:
    """Patches the report of a training, so that something happens when it is at a step."""
    report = Requests.report

    def spied(self: Requests, position: Position, of_steps: int) -> None:
        report(self, position, of_steps)
        if position.total_steps == step:
            action()

    Requests.report = spied  # type: ignore[method-assign]
    try:
        yield
    finally:
        Requests.report = report  # type: ignore[method-assign]


@pytest.fixture
def when(request: pytest.FixtureRequest) -> Callable[[int, Callable[[], None]], None]:
    """`when(step, action)`: the action is done once the training has made so many steps."""

    def arrange(step: int, action: Callable[[], None]) -> None:
        steps = at_step(step, action)
        next(steps)
        request.addfinalizer(lambda: next(steps, None))

    return arrange


def assert_same_training(first: TrainingFolder, second: TrainingFolder) -> None:
    own, other = (load_weights(folder.weights("last")).network.state_dict() for folder in (first, second))
    assert all(torch.equal(tensor, other[name]) for name, tensor in own.items())
    timeless = [column for column in first.history() if "second" not in column]
    pd.testing.assert_frame_equal(first.history()[timeless], second.history()[timeless])
    pd.testing.assert_frame_equal(first.steps(), second.steps())


# The control file


@pytest.mark.parametrize("seconds_between_reports", [0.0, 1e9])
def test_a_stop_in_the_control_file_ends_the_training_and_changes_nothing(
    splits: tuple[Split, Split],
    tmp_path: Path,
    when: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    seconds_between_reports: float,
) -> None:
    monkeypatch.setattr(pause_stop, "EVERY", seconds_between_reports)
    whole = trainer(splits, tmp_path / "whole")(recipe=recipe())
    folder = TrainingFolder(tmp_path / "stopped")
    when(3, lambda: request(folder, "stop"))
    with pytest.raises(KeyboardInterrupt, match="the state is saved, run again to continue"):
        trainer(splits, folder.root)(recipe=recipe())
    assert load_state(folder.state())["position"]["total_steps"] == 3
    assert requested(folder) == ""  # it has been done, and does not hold for the next run
    progress = progress_of(folder)
    assert progress is not None and (progress.state, progress.epoch, progress.step) == ("ended", 1, 3)
    assert [row["step"] for row in progress.steps] == [1, 2, 3]
    trainer(splits, folder.root)(recipe=recipe())
    assert_same_training(whole, folder)


def test_a_pause_saves_the_state_waits_and_changes_nothing(
    splits: tuple[Split, Split], tmp_path: Path, when: Callable[..., None]
) -> None:
    whole = trainer(splits, tmp_path / "whole")(recipe=recipe())
    folder = TrainingFolder(tmp_path / "paused")
    seen: list[tuple[str, int]] = []

    def watch() -> None:
        while True:
            progress = progress_of(folder)
            if progress and progress.state == "paused":
                seen.append((progress.state, load_state(folder.state())["position"]["total_steps"]))
                return request(folder, "")

    watcher = threading.Thread(target=watch)

    def pause() -> None:
        request(folder, "pause")
        watcher.start()

    when(4, pause)
    trainer(splits, folder.root)(recipe=recipe())
    watcher.join(PATIENCE)
    assert seen == [("paused", 4)]
    assert_same_training(whole, folder)


def test_a_request_from_before_the_training_is_void(splits: tuple[Split, Split], tmp_path: Path) -> None:
    folder = TrainingFolder(tmp_path)
    request(folder, "stop")
    trainer(splits, tmp_path)(recipe=recipe(epochs=1))
    assert len(folder.history()) == 1


def test_only_the_process_that_leads_looks_at_the_file(tmp_path: Path) -> None:
    folder = TrainingFolder(tmp_path)
    leading, following = Requests(folder), Requests(folder, is_main=False)
    request(folder, "stop")
    assert leading.is_set() and not following.is_set()
    request(folder, "pause")
    assert leading.paused and not leading.is_set() and not following.paused
    assert following.hold() == 0.0
    following.set()
    assert following.is_set()


def test_a_damaged_report_is_explained(tmp_path: Path) -> None:
    folder = TrainingFolder(tmp_path)
    assert progress_of(folder) is None
    (tmp_path / "progress.json").write_text('{"state": "train')
    with pytest.raises(DataError, match=r"progress.json is not a training's report .*Delete it"):
        progress_of(folder)


# The monitor


@pytest.fixture
def monitoring(splits: tuple[Split, Split], tmp_path: Path) -> Monitoring:
    train_on = trainer(splits, tmp_path)
    return Monitoring(train_on(recipe=recipe(epochs=1)), train_on, recipe(epochs=1))


def test_the_monitor_trains_on_in_a_thread(monitoring: Monitoring) -> None:
    done = len(monitoring.steps())
    assert (len(monitoring.history()), monitoring.going_on) == (1, False)
    monitoring.start(2)
    assert monitoring.wait(PATIENCE)
    assert monitoring.outcome == "all 3 epochs are done"
    assert len(monitoring.history()) == 3 and len(monitoring.steps()) == 3 * done
    assert monitoring.status.startswith("ended · epoch 3, ") and monitoring.status.endswith("all 3 epochs are done")


def test_a_training_in_the_thread_can_be_stopped_and_gone_on_with(
    monitoring: Monitoring, when: Callable[..., None]
) -> None:
    steps = len(monitoring.steps())
    when(steps + 2, monitoring.stop)
    monitoring.start(50)
    with pytest.raises(ConfigError, match="found one that is going on"):
        monitoring.start(1)
    assert monitoring.wait(PATIENCE)
    assert "the state is saved, run again to continue" in monitoring.outcome
    assert monitoring.steps()["step"].tolist() == list(range(1, steps + 3))  # two of them from the report alone
    monitoring.start(1)
    assert monitoring.wait(PATIENCE)
    assert len(monitoring.history()) == 2 and len(monitoring.steps()) == 2 * steps


def test_the_steps_of_an_epoch_are_all_counted_after_going_on_within_it(
    splits: tuple[Split, Split], tmp_path: Path, when: Callable[..., None]
) -> None:
    folder, train_on = TrainingFolder(tmp_path), trainer(splits, tmp_path)
    when(4, lambda: request(folder, "stop"))
    with pytest.raises(KeyboardInterrupt):
        train_on(recipe=recipe())
    stopped = progress_of(folder)
    when(5, lambda: request(folder, "stop"))
    with pytest.raises(KeyboardInterrupt):
        train_on(recipe=recipe())
    gone_on = progress_of(folder)
    assert stopped is not None and gone_on is not None
    assert stopped.of_steps == gone_on.of_steps == -(-splits[0].n_questions // FIELDS["batch_size"])
    assert (stopped.step, gone_on.step) == (4, 5)


def test_a_cosine_goes_on_to_its_end_and_no_further(
    splits: tuple[Split, Split], tmp_path: Path, when: Callable[..., None]
) -> None:
    """Another number of epochs is another cosine: `train_in` would begin a new training elsewhere, unwatched."""
    folder, train_on, cosine = TrainingFolder(tmp_path), trainer(splits, tmp_path), recipe(lr_schedule="cosine")
    when(2, lambda: request(folder, "stop"))
    with pytest.raises(KeyboardInterrupt):
        train_on(recipe=cosine)
    monitoring = Monitoring(folder, train_on, cosine)
    with pytest.raises(ConfigError, match=r"expected the other 2 of the 2 epochs .* found 5 epochs"):
        monitoring.start(5)
    monitoring.start(2)
    assert monitoring.wait(PATIENCE) and monitoring.outcome == "all 2 epochs are done"
    with pytest.raises(ConfigError, match=r"expected no more of the 2 epochs .* \(init_from\)"):
        monitoring.start(1)


def test_a_training_that_fails_in_the_thread_says_so(tmp_path: Path) -> None:
    def fails(recipe: Recipe) -> TrainingFolder:
        raise ConfigError("expected better data.")

    monitoring = Monitoring(TrainingFolder(tmp_path), fails, recipe())
    assert monitoring.status == "no report yet"
    monitoring.start(1)
    assert monitoring.wait(PATIENCE)
    assert monitoring.status == "failed: expected better data."


def test_what_cannot_be_started_is_explained(monitoring: Monitoring) -> None:
    with pytest.raises(ConfigError, match="at least 1 epoch"):
        monitoring.start(0)
    watching = Monitoring(monitoring.folder)
    with pytest.raises(ConfigError, match="can only watch, pause and stop"):
        watching.start(1)
    path = monitoring.folder.root / "progress.json"
    elsewhere = msgspec.json.decode(path.read_bytes()) | {"state": "training"}
    path.write_bytes(msgspec.json.encode(elsewhere))
    with pytest.raises(ConfigError, match="found one that is going on"):
        monitoring.start(1)
    path.write_bytes(msgspec.json.encode(elsewhere | {"written": elsewhere["written"] - 3600}))  # killed an hour ago
    monitoring.start(1)
    assert monitoring.wait(PATIENCE)


def test_the_widget_shows_curves_and_passes_presses_on(monitoring: Monitoring, when: Callable[..., None]) -> None:
    monitor = Monitor(monitoring, "state descriptions")
    first = bytes(monitor.figure.value)
    assert first.startswith(b"\x89PNG") and monitor.status.value.startswith("ended")
    monitor.refresh()
    assert monitor.figure.value == first
    assert enabled(monitor) == {"train on"}
    assert "data:image/png;base64," in monitor._repr_mimebundle_()["text/html"]
    for button, asked in ((monitor.pause, "pause"), (monitor.go_on, ""), (monitor.stop, "stop")):
        button.click()
        assert requested(monitoring.folder) == asked
    steps = len(monitoring.steps())
    when(steps + 1, monitor.pause.click)
    when(steps + 3, monitor.stop.click)
    monitor.epochs.value = 40
    monitor.start.click()
    wait_until(lambda: monitor.status.value.startswith("paused"))
    assert load_state(monitoring.folder.state())["position"]["total_steps"] == steps + 1
    assert enabled(monitor) == {"go on", "stop"}
    monitor.start.click()
    assert "found one that is going on" in monitor.message.value
    monitor.go_on.click()
    assert monitoring.wait(PATIENCE)
    wait_until(lambda: not monitor.follow.value)  # the curves stop following by themselves
    assert "the state is saved" in monitor.status.value
    assert enabled(monitor) == {"train on"}
    assert monitor.figure.value != first
    assert plt.get_fignums() == []


def enabled(monitor: Monitor) -> set[str]:
    """The buttons that can be pressed."""
    buttons = (monitor.start, monitor.pause, monitor.go_on, monitor.stop)
    return {one.description for one in buttons if not one.disabled}


def report(folder: Path, **values: object) -> Monitoring:
    """A monitor of a folder whose training has reported these values, by default a moment ago."""
    told = {"state": "training", "epoch": 2, "step": 40, "of_steps": 100, "written": time.time(), "seconds": 20.0}
    (folder / "progress.json").write_bytes(msgspec.json.encode({**told, **values}))
    return Monitoring(TrainingFolder(folder))


def test_the_status_says_how_long_it_will_take(tmp_path: Path) -> None:
    assert " · 30 s left in this epoch · reported 0 s ago" in report(tmp_path).status
    assert " · 20 min left in this epoch" in report(tmp_path, seconds=800.0).status
    assert " · 3.3 h left in this epoch" in report(tmp_path, seconds=8000.0).status
    monitoring = report(tmp_path)
    monitoring._until = 5
    assert " · 30 s left in this epoch, 3 min in all · " in monitoring.status
    for state in ("paused", "ended"):
        assert "left in this epoch" not in report(tmp_path, state=state).status
    assert "left in this epoch" not in report(tmp_path, step=0, seconds=0.0).status


def test_only_what_is_possible_can_be_asked_for(tmp_path: Path) -> None:
    assert report(tmp_path).possible == {"pause", "stop"}
    assert report(tmp_path, state="paused").possible == {"go on", "stop"}
    assert report(tmp_path, state="ended").possible == report(tmp_path, written=0.0).possible == set()
    watching = report(tmp_path)
    watching.pause()
    assert watching.possible == {"go on", "stop"}
    watching.stop()
    assert watching.possible == set()
    watching.go_on()
    assert Monitoring(TrainingFolder(tmp_path), lambda **_: watching.folder, recipe()).possible == {"pause", "stop"}
    (tmp_path / "progress.json").unlink()
    assert Monitoring(TrainingFolder(tmp_path), lambda **_: watching.folder, recipe()).possible == {"start"}


def wait_until(true: Callable[[], bool]) -> None:
    waiting = threading.Event()
    for _ in range(int(PATIENCE / 0.01)):
        if true():
            return
        waiting.wait(0.01)
    raise AssertionError("waited in vain")


def test_the_monitors_figure_needs_no_finished_epoch() -> None:
    nothing = Monitoring(TrainingFolder("/nowhere"))
    figure = plot_monitor(nothing.history(), nothing.steps(), "pixels")
    left, right = figure.axes
    assert left.get_ylabel() == "training loss (nats)" and len(left.lines[0].get_xdata()) == 0
    assert len(right.lines) >= 1 and right.get_ylim() == (0, 102)
    assert [text.get_text() for text in left.texts] == ["no step reported yet"] and not list(left.get_xticks())


def test_a_known_curve_has_those_it_began_as_beside_it() -> None:
    names = set(known_curves("pixels")["curve"])
    assert "pixels, released detect-fp" in names
    assert {"state descriptions, released medium-ir-sd", "state descriptions, released medium-sd"} <= names
    history = pd.DataFrame({"val_accuracy": [0.4], "questions": [100]})
    assert len(plot_against_reference(history, "a kind without any", "question alone").axes[0].lines) == 1
