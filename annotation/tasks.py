"""Importing this module registers the kinds of job that this app does, and what its workers do unasked."""

from annotation import freeze  # noqa: F401
from annotation.studies import adaptive, deleting, filling  # noqa: F401
from annotation.watching import assessment, connectivity, roles  # noqa: F401
