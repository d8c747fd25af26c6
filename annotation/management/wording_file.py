import json
from pathlib import Path

from django.core.management.base import CommandError

from annotation.forms import longest
from annotation.wording import standard_wording


def wording(path: Path | None, mode: str) -> dict[str, str]:
    """The texts of a JSON file, every kind one that this mode has."""
    if path is None:
        return {}
    try:
        texts = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CommandError(f"{path} cannot be read as JSON: {error}") from error
    kinds = standard_wording(mode)
    if (
        not isinstance(texts, dict)
        or not set(texts) <= set(kinds)
        or not all(isinstance(t, str) for t in texts.values())
    ):
        raise CommandError(f"{path} must be a JSON object of texts; its keys may be {', '.join(kinds)}.")
    for kind, text in texts.items():
        if not 0 < len(text.strip()) <= longest(kind):
            raise CommandError(f"{path}: {kind!r} must have at least 1 and at most {longest(kind)} characters.")
    return texts
