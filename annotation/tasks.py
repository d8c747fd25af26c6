"""Importing this module registers the kinds of job that this app does, and what its workers do unasked."""

from annotation.studies import filling  # noqa: F401
