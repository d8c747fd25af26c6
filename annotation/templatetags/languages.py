"""What templates say about languages."""

from typing import Any

from django import template
from django.conf import settings
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from annotation.languages import direction, language_now, words_version

register = template.Library()
register.filter("direction", direction)


@register.simple_tag
def lang_of(language: str) -> SafeString:
    """The attributes of an element whose words are in this language: none where the page speaks it anyway."""
    if language == language_now():
        return SafeString()
    return format_html('lang="{}" dir="{}"', language, direction(language))


@register.simple_tag
def is_machine_translated() -> bool:
    return language_now() in settings.MACHINE_TRANSLATED


@register.simple_tag
def words_address() -> str:
    """Of the words for the scripts; empty in English, which they speak by themselves."""
    language = language_now()
    if language == settings.LANGUAGE_CODE:
        return ""
    return reverse("annotation:words", args=[language, words_version(language)])


@register.inclusion_tag("annotation/_languages.html", takes_context=True)
def language_picker(context: dict[str, Any]) -> dict[str, Any]:
    """Every language by its own name, to choose from; afterwards one is on the same page."""
    return {
        "languages": settings.LANGUAGES,
        "current": language_now(),
        "by_machine": settings.MACHINE_TRANSLATED,
        "back": context["request"].get_full_path(),
    }
