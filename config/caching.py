"""Nothing that the site computes is kept by a browser or by anything on the way.

It is for one person at one moment: a page, a picture, an acknowledgement, and just so the refusals, redirects and
errors that a decorator on a view never gets to see.
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

NOT_KEPT = "private, no-store"


def not_kept(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """A middleware. Who has said how long something may be kept, as whitenoise does for static files, is believed."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        response.headers.setdefault("Cache-Control", NOT_KEPT)
        return response

    return middleware
