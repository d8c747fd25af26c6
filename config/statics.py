from collections.abc import Iterable, Iterator
from typing import Any

from django.contrib.staticfiles.apps import StaticFilesConfig
from whitenoise.storage import CompressedManifestStaticFilesStorage


class Collected(StaticFilesConfig):
    """Without what is never sent: REST framework's own pages, which the site does not have."""

    ignore_patterns = [*StaticFilesConfig.ignore_patterns, "rest_framework"]


class StaticFiles(CompressedManifestStaticFilesStorage):
    """Hashed names also where one script imports another, so that a browser never mixes two versions.

    The admin's files are not made smaller: that took most of a site's first start, and few people load them, once.
    """

    support_js_module_import_aggregation = True

    def compress_files(self, paths: Iterable[str]) -> Iterator[Any]:
        yield from super().compress_files(path for path in paths if not path.startswith("admin/"))
