import json
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:  # the last: thousands of brackets in brackets
        raise CommandError(f"{path} cannot be read as JSON: {error}") from error
