"""Importing this module registers the kinds of job that this app does."""

from scoring import baselines, compare, runs  # noqa: F401
