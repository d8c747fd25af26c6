"""Nothing that was acknowledged is lost when parts of the site are killed: a short run of the bench."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

from bench.cluster import binaries
from tests.conftest import skip_or_fail

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.services
def test_no_answer_is_lost_and_no_pair_stuck_when_parts_of_the_site_are_killed() -> None:
    if connection.vendor == "postgresql" and binaries() is None:
        skip_or_fail("there is no PostgreSQL server to start and to kill")
    n_kills = 5 if connection.vendor == "postgresql" else 4  # every part once
    options = ["--kills", str(n_kills), "--annotators", "8", "--database", connection.vendor]
    run = subprocess.run(
        [sys.executable, "-m", "bench.faults", *options],
        cwd=ROOT,
        env=os.environ.copy(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr[-5000:]
    assert f"- kills: {n_kills} (" in run.stdout
    assert "everything 1" in run.stdout
    assert "web process 1" in run.stdout
    assert "- violations: 0" in run.stdout
