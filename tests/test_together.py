"""Thirty people rate while everything else is going on, and none of them notices."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

ROOT = Path(__file__).resolve().parent.parent
JOBS = {"train_release", "freeze_study", "export_release", "import_pairs", "compare_run"}


@pytest.mark.long
@pytest.mark.services
@pytest.mark.skipif(connection.vendor != "sqlite", reason="it makes a site of its own, on SQLite")
def test_nobody_meets_an_error_while_training_freeze_export_and_import_run() -> None:
    command = [sys.executable, "-m", "bench.together", "--seconds", "20", "--items", "1000"]
    command += ["--epochs", "20", "--imported", "100"]
    run = subprocess.run(command, cwd=ROOT, env=os.environ.copy(), capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in run.stdout.splitlines()]
    states = {name: state for name, state, *_ in (row for row in cells if row[0] in JOBS)}
    assert states == dict.fromkeys(JOBS, "done")
    assert ", 0 errors" in run.stdout
