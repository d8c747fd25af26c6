from pathlib import Path

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from annotation.management.json_file import read_json
from annotation.studies.forms.wording import text_field
from annotation.studies.wording import standard_wording


def wording(path: Path | None, mode: str) -> dict[str, str]:
    """The texts of a JSON file, every kind one that this mode has."""
    if path is None:
        return {}
    texts, kinds = read_json(path), standard_wording(mode)
    if (
        not isinstance(texts, dict)
        or not set(texts) <= set(kinds)
        or not all(isinstance(t, str) for t in texts.values())
    ):
        raise CommandError(f"{path} must be a JSON object of texts; its keys may be {', '.join(kinds)}.")
    return {kind: checked(path, kind, text) for kind, text in texts.items()}


def checked(path: Path, kind: str, text: str) -> str:
    """The text as the page would store it."""
    try:
        return str(text_field(kind).clean(text))
    except ValidationError as error:
        raise CommandError(f"{path}: {kind!r}: {' '.join(error.messages)}") from error
