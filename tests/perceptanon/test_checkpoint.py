import json
import os
import shutil
import signal
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from scoring.perceptanon.checkpoint import State, load_state, replacing, save_state
from scoring.perceptanon.failures import CannotTrain
from scoring.perceptanon.networks import PerceptAnon
from scoring.states import newest_state, take_over_state

FILES = {"network.safetensors", "optimizer.safetensors", "best.safetensors", "state.json"}
ORIGIN = {"recipe.json": "1", "labels.csv": "2"}


def small_net(value: float = 0.0) -> PerceptAnon:
    net = PerceptAnon(nn.Linear(2, 1), squashed=True)
    with torch.no_grad():
        net.core.weight.fill_(value)
    return net


def after_a_step(net: PerceptAnon, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    optimizer.zero_grad()
    net(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    return optimizer


def sgd(net: PerceptAnon) -> torch.optim.Optimizer:
    return torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)


def saved(folder: Path, *losses: float) -> State:
    """An epoch for each validation loss; the weights after it are its number."""
    state = State(ORIGIN)
    for number, loss in enumerate(losses, start=1):
        state = state.after({"epoch": number, "val_loss": loss})
        net = small_net(number)
        save_state(folder, state, net, sgd(net))
    return state


@contextmanager
def at_most(seconds: float):
    """Break off what never ends."""

    def out_of_time(*_: object) -> None:
        raise AssertionError(f"not done after {seconds} seconds")  # no OSError, which may be caught on the way

    before = signal.signal(signal.SIGALRM, out_of_time)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_only_the_newest_state_is_kept(tmp_path):
    saved(tmp_path, 0.3, 0.2, 0.1)
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-0003"]
    assert {path.name for path in (tmp_path / "epoch-0003").iterdir()} == FILES


def test_the_best_weights_stay_with_the_newest_state(tmp_path):
    state = saved(tmp_path, 0.3, 0.1, 0.2, 0.1)
    assert load_file(tmp_path / "epoch-0004" / "network.safetensors")["weight"].tolist() == [[4, 4]]
    assert load_file(tmp_path / "epoch-0004" / "best.safetensors")["weight"].tolist() == [[2, 2]]  # first of equals
    assert state.best["epoch"] == 2


@pytest.mark.parametrize(
    "make",
    [sgd, lambda net: torch.optim.Adam(net.parameters(), lr=0.1), lambda net: torch.optim.SGD(net.parameters())],
    ids=["sgd", "adam", "sgd without momentum"],
)
def test_a_state_gives_back_weights_memory_and_epochs(tmp_path, make):
    net = small_net(3)
    optimizer = after_a_step(net, make(net))
    state = State(ORIGIN, [{"epoch": 1, "val_loss": 0.5}])
    save_state(tmp_path, state, net, optimizer)
    other = small_net()
    remembered = make(other)
    assert load_state(tmp_path / "epoch-0001", other, remembered, ORIGIN) == state
    for step in range(3):  # the next steps are the same, to the last bit
        assert torch.equal(other.core.weight, net.core.weight), step
        after_a_step(net, optimizer)
        after_a_step(other, remembered)


def test_a_state_of_another_origin_is_refused_and_nothing_filled(tmp_path):
    saved(tmp_path, 0.5)
    net = small_net(9)
    with pytest.raises(CannotTrain, match="belongs to another recipe or other labels"):
        load_state(tmp_path / "epoch-0001", net, sgd(net), ORIGIN | {"labels.csv": "3"})
    assert net.core.weight.tolist() == [[9, 9]]


def test_half_a_state_is_none(tmp_path):
    saved(tmp_path, 0.5)
    shutil.copytree(tmp_path / "epoch-0001", tmp_path / ".epoch-0002.draft")
    (tmp_path / ".epoch-0002.draft" / "state.json").unlink()
    assert newest_state(tmp_path).name == "epoch-0001"


def test_a_draft_that_a_dead_process_left_is_replaced(tmp_path):
    state = saved(tmp_path, 0.5)
    (tmp_path / ".epoch-0002.draft").mkdir()
    (tmp_path / ".epoch-0002.draft" / "junk").touch()
    net = small_net()
    save_state(tmp_path, state.after({"epoch": 2, "val_loss": 0.4}), net, sgd(net))
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-0002"]
    assert {path.name for path in (tmp_path / "epoch-0002").iterdir()} == FILES


def test_a_state_that_a_process_died_before_removing_goes_with_the_next(tmp_path):
    state = saved(tmp_path, 0.5)
    shutil.copytree(tmp_path / "epoch-0001", tmp_path / "aside")
    state = state.after({"epoch": 2, "val_loss": 0.4})
    net = small_net()
    save_state(tmp_path, state, net, sgd(net))
    (tmp_path / "aside").rename(tmp_path / "epoch-0001")  # as after a kill between the renaming and the removal
    save_state(tmp_path, state.after({"epoch": 3, "val_loss": 0.3}), net, sgd(net))
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-0003"]


def test_no_state_is_none(tmp_path):
    assert newest_state(tmp_path) is None


def test_the_ten_thousandth_epoch_comes_after_the_one_before(tmp_path):
    for name in ("epoch-9999", "epoch-10000"):
        (tmp_path / name).mkdir()
    assert newest_state(tmp_path).name == "epoch-10000"


def test_nobody_reads_half_a_file(tmp_path):
    path = tmp_path / "result.json"
    path.write_text("before")
    with replacing(path) as draft:
        draft.write_text("after, but not yet")
        assert path.read_text() == "before"
    assert path.read_text() == "after, but not yet"
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


# From attempt to attempt ---------------------------------------------------------------------------------------------


@pytest.fixture
def attempts(tmp_path: Path) -> tuple[Path, Path]:
    before, after = tmp_path / "attempt-1", tmp_path / "attempt-2"
    before.mkdir()
    after.mkdir()
    return before, after


def test_the_newest_state_is_taken_over_whole(attempts):
    before, after = attempts
    saved(before, 0.5, 0.4)
    take_over_state(before, after)
    assert [path.name for path in after.iterdir()] == ["epoch-0002"]
    for name in FILES:
        taken, original = after / "epoch-0002" / name, before / "epoch-0002" / name
        assert taken.read_bytes() == original.read_bytes()


def test_what_goes_on_in_one_attempt_changes_nothing_in_the_other(attempts):
    before, after = attempts
    state = saved(before, 0.5)
    take_over_state(before, after)
    net = small_net(7)
    save_state(after, state.after({"epoch": 2, "val_loss": 0.1}), net, sgd(net))
    assert json.loads((before / "epoch-0001" / "state.json").read_text())["epochs"] == state.epochs
    assert load_file(before / "epoch-0001" / "best.safetensors")["weight"].tolist() == [[1, 1]]
    shutil.rmtree(before)
    assert {path.name for path in (after / "epoch-0002").iterdir()} == FILES


def test_an_attempt_that_came_to_no_whole_epoch_leaves_nothing(attempts):
    before, after = attempts
    (before / ".epoch-0001.draft").mkdir()
    take_over_state(before, after)
    assert list(after.iterdir()) == []


def test_a_take_over_that_died_half_way_can_be_done_again(attempts):
    before, after = attempts
    saved(before, 0.5)
    (after / ".epoch-0001.draft").mkdir()
    (after / ".epoch-0001.draft" / "junk").touch()
    take_over_state(before, after)
    assert {path.name for path in (after / "epoch-0001").iterdir()} == FILES


def test_a_state_is_taken_over_whole_from_an_attempt_that_still_goes_on(attempts):
    before, after = attempts
    saved(before, 0.5)
    is_over = threading.Event()

    def go_on() -> None:
        state, net = State(ORIGIN, [{"epoch": 1, "val_loss": 0.5}]), small_net()
        optimizer = sgd(net)
        while not is_over.is_set():
            state = state.after({"epoch": len(state.epochs) + 1, "val_loss": 0.5})
            save_state(before, state, net, optimizer)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        for number in range(100):
            (taken := after / str(number)).mkdir()
            take_over_state(before, taken)
            assert {path.name for path in newest_state(taken).iterdir()} == FILES
            state = json.loads((newest_state(taken) / "state.json").read_text())
            assert newest_state(taken).name == f"epoch-{len(state['epochs']):04}"
    finally:
        is_over.set()
        thread.join()


def test_a_state_on_another_file_system_is_copied_or_refused_but_never_waited_for(attempts):
    before = Path(f"/dev/shm/perceptanon-test-{os.getpid()}")  # noqa: S108
    if not before.parent.is_dir() or before.parent.stat().st_dev == attempts[1].stat().st_dev:
        pytest.skip("no second file system here")
    before.mkdir()
    try:
        saved(before, 0.5)
        with at_most(2):
            try:
                take_over_state(before, attempts[1])
            except OSError:
                return
        assert newest_state(attempts[1]) is not None
    finally:
        shutil.rmtree(before)
