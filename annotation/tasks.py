"""Importing this module registers the kinds of job that this app does, and what its workers do unasked."""

from annotation import adaptive, connectivity, filling, freeze, quality  # noqa: F401
