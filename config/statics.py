from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticFiles(CompressedManifestStaticFilesStorage):
    """Hashed names also where one script imports another, so that a browser never mixes two versions."""

    support_js_module_import_aggregation = True
