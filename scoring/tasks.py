"""Importing this module registers the kinds of job that this app does, and what a doctor looks at."""

from scoring import at_hand, baselines, compare, runs  # noqa: F401
