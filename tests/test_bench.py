"""The benches run, and refuse to publish a figure for less than it is named for."""

import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from django.db import connection

from bench.line import slow_line
from bench.screen import check_pictures
from bench.study import check_ratings, check_size
from tests import make
from tests.browser.chromium import found

ROOT = Path(__file__).resolve().parent.parent


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.long
@pytest.mark.services
@pytest.mark.skipif(connection.vendor != "sqlite", reason="it makes a site of its own, on SQLite")
def test_the_serving_bench_reports_every_case_without_an_error() -> None:
    command = [sys.executable, "-m", "bench.serving", "--quick", "--annotators", "1", "2"]
    run = subprocess.run(command, cwd=ROOT, env=os.environ.copy(), capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    header, _, *cases = [cells(line) for line in run.stdout.splitlines() if line.startswith("|")]
    assert [case[1:3] for case in cases] == [["1", "none"], ["1", "two"], ["2", "none"], ["2", "two"]]
    assert all(float(case[header.index("answers")]) > 0 for case in cases)
    assert all(case[header.index("errors")] == "0" for case in cases)
    assert {case[0] for case in cases} == {"1000"}
    assert "SQLite" in run.stdout


@pytest.mark.django_db
def test_no_figure_is_reported_for_a_study_smaller_than_named() -> None:
    study = make.study(n_pairs=3, goal=10)
    check_size(study, named=3)
    with pytest.raises(SystemExit, match="3 items that want 10 ratings, not the 4"):
        check_size(study, named=4)
    study.items.update(goal=9)
    with pytest.raises(SystemExit, match="0 items"):
        check_size(study, named=3)


@pytest.mark.django_db
def test_an_acknowledged_answer_that_is_not_stored_stops_the_bench() -> None:
    study = make.study(n_pairs=3)
    check_ratings(study, acknowledged=0)
    with pytest.raises(SystemExit, match="1 answers were acknowledged, 0 are stored"):
        check_ratings(study, acknowledged=1)


@pytest.mark.long
@pytest.mark.browser
def test_the_bench_of_the_rating_screen_measures_every_line_and_what_the_page_keeps() -> None:
    found()
    command = [sys.executable, "-m", "bench.rating_screen", "--quick"]
    run = subprocess.run(command, cwd=ROOT, env=os.environ.copy(), capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    rows = [cells(line) for line in run.stdout.splitlines() if line.startswith("|")]
    answers = {row[0]: row[2] for row in rows if len(row) == 7 and row[2].isdecimal()}
    lines = ("localhost", "150 ms more")
    assert answers == {f"{line}, {pace} pace": "6" for line in lines for pace in ("with", "without")}
    assert "- met: first page without pictures" in run.stdout
    assert "Chromium" in run.stdout


@pytest.mark.django_db
def test_no_wait_is_reported_for_pictures_smaller_than_named() -> None:
    study = make.study(n_pairs=2)
    with pytest.raises(SystemExit, match="pixels, not the 1000000"):
        check_pictures(study, named=1_000_000)


def test_a_slow_line_adds_its_time_in_both_directions_and_changes_nothing() -> None:
    with ExitStack() as stack:
        far = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        threading.Thread(target=_echo_once, args=[far], daemon=True).start()
        port = stack.enter_context(slow_line(far.getsockname()[1], one_way=0.05))
        near = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
        near.sendall(b"first")
        assert near.recv(5) == b"first"  # the line is open by now
        asked = time.monotonic()
        near.sendall(b"again")
        assert near.recv(5) == b"again"
        assert time.monotonic() - asked >= 0.1


def _echo_once(far: socket.socket) -> None:
    near, _ = far.accept()
    with near:
        while data := near.recv(100):
            near.sendall(data)
