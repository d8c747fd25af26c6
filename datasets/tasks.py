"""Importing this module registers the kinds of job that this app does, and what its workers do unasked."""

from datasets import alike, export, ingest, once  # noqa: F401
from datasets.jobs import run_job  # noqa: F401  tickets that version 0.1.0 has queued name it here
