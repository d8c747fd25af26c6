"""The language in which the site speaks to whoever rates.

The annotators' pages follow the person: the language they chose (a cookie), else what their browser asks for, else
English. All other pages, the admin and the commands speak English. The words are in `annotation/locale/`.
"""

from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import translation
from django.utils.cache import add_never_cache_headers, patch_cache_control, patch_vary_headers
from django.views.decorators.gzip import gzip_page
from django.views.i18n import JavaScriptCatalog

A_YEAR = 365 * 24 * 3600  # seconds
View = TypeVar("View", bound=Callable[..., Any])


def in_their_language(view: View) -> View:
    """A view of an annotator's page; every other one speaks English."""
    view.speaks_their_language = True  # type: ignore[attr-defined]
    return view


class SpeakTheirLanguage:
    """Before all middleware that may answer itself: what is said of a fault follows the person too."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with translation.override(translation.get_language_from_request(request)):
            response = self.get_response(request)
            match = request.resolver_match
            if match is None or speaks_their_language(match.func):
                response.headers.setdefault("Content-Language", language_now())
                patch_vary_headers(response, ["Accept-Language"])
        return response

    def process_view(self, request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any) -> None:
        if not speaks_their_language(view):
            translation.activate(settings.LANGUAGE_CODE)


def speaks_their_language(view: Callable[..., Any]) -> bool:
    return getattr(view, "speaks_their_language", False)


def in_english() -> dict[str, str]:
    """The languages' English names, for researchers."""
    return {code: translation.get_language_info(code)["name"] for code, _ in settings.LANGUAGES}


def language_now() -> str:
    """The code of the language that the page speaks."""
    return translation.get_language() or settings.LANGUAGE_CODE


def direction(language: str) -> str:
    return "rtl" if translation.get_language_info(language)["bidi"] else "ltr"


# The words of the scripts ------------------------------------------------------------------------------------------


@cache
def words_version(language: str) -> str:
    """Changes with the words, so that a browser may keep them for good."""
    path = Path(settings.LOCALE_PATHS[0], translation.to_locale(language), "LC_MESSAGES", "djangojs.mo")
    return sha256(path.read_bytes()).hexdigest()[:12]


class Words(JavaScriptCatalog):
    packages = ["annotation"]

    def get(self, request: HttpRequest, *args: Any, language: str, version: str, **kwargs: Any) -> HttpResponse:
        if language not in dict(settings.LANGUAGES) or language == settings.LANGUAGE_CODE:  # English is in the scripts
            raise Http404("no such language")
        with translation.override(language):
            response = super().get(request, *args, **kwargs)
        if version == words_version(language):
            patch_cache_control(response, public=True, max_age=A_YEAR, immutable=True)
        else:  # of a page from before the words changed, or after it
            add_never_cache_headers(response)
        return response


words = login_not_required(gzip_page(Words.as_view()))
