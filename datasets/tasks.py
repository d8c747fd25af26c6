"""Importing this module registers the kinds of job that this app does."""

from datasets import export, ingest  # noqa: F401
