"""Importing this module registers the kinds of job that this app does, what its workers do unasked, and what a doctor
looks at."""

from datasets import accounts, alike, doctor, export, ingest, once, removal, traces, tries  # noqa: F401
from datasets.jobs import run_job  # noqa: F401  tickets that version 0.1.0 has queued name it here
