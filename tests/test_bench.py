"""The benches run, and refuse to publish a figure for less than it is named for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.study import check_ratings, check_size
from tests import make

ROOT = Path(__file__).resolve().parent.parent


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.services
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
