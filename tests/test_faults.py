"""Nothing that was acknowledged is lost when parts of the site are killed: a short run of the bench."""

import os
import re
import subprocess
import sys
from math import ceil, floor
from pathlib import Path

import pytest
from django.db import connection

from bench.cluster import binaries
from tests.conftest import skip_or_fail
from tests.workers import SHORT_LEASE

ROOT = Path(__file__).resolve().parent.parent
pytestmark = [pytest.mark.services, pytest.mark.postgres]
EVERY_PART_ONCE = 5 if connection.vendor == "postgresql" else 4  # SQLite is no part that could be killed


@pytest.mark.parametrize("n_kills", [EVERY_PART_ONCE, pytest.param(10, marks=pytest.mark.long)])
def test_no_answer_is_lost_and_no_pair_stuck_when_parts_of_the_site_are_killed(n_kills: int) -> None:
    if connection.vendor == "postgresql" and binaries() is None:
        skip_or_fail("there is no PostgreSQL server to start and to kill")
    options = ["--kills", str(n_kills), "--annotators", "8", "--database", connection.vendor]
    run = subprocess.run(
        [sys.executable, "-m", "bench.faults", *options],
        cwd=ROOT,
        env=os.environ | ({} if n_kills > EVERY_PART_ONCE else SHORT_LEASE),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr[-5000:]
    assert f"- kills: {n_kills} (" in run.stdout
    n_each = n_kills / EVERY_PART_ONCE
    for part in ("everything", "web process"):
        found = re.search(rf"\b{part} (\d+)", run.stdout)
        assert found
        assert int(found[1]) in {floor(n_each), ceil(n_each)}
    assert "- violations: 0" in run.stdout
