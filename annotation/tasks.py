"""Importing this module registers the kinds of job that this app does."""

from annotation import freeze  # noqa: F401
