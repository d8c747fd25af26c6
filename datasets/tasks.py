"""Importing this module registers the kinds of job that this app does, what its workers do unasked, and what a doctor
looks at."""

from datasets import (  # noqa: F401  # noqa: F401
    accounts,
    alike,
    audit_log,
    doctor,
    export,
    ingest,
    once,
    removal,
    second_factor,
    sessions,
    traces,
    tries,
)
from datasets.jobs import run_job  # noqa: F401  tickets that version 0.1.0 has queued name it here
