"""Who may run a study: a researcher of its project. And who may act for a participation: whoever has its signed
cookie, or is logged in as its annotator.

Lookup and permission are one condition; of an annotator's pages it is `ACTS_FOR`, and every view of theirs goes through
it.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate
from uuid import UUID, uuid4

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core import signing
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.request import Request

from annotation.giving.person import ParticipationErased
from annotation.languages import in_their_language
from annotation.models.people import Participation
from annotation.models.studies import Study
from annotation.sql import fetch_one, under, uuid_value
from datasets.access import LoggedIn
from datasets.models.projects import user_id

COOKIE = "participation_"
COOKIE_SALT = "annotation.participation"
RESUME_SALT = "annotation.resume"
CONSENT_SALT = "annotation.consent"
NOT_THEIRS = ParticipationErased.sentence  # nobody learns which
COOKIE_AGE = 90 * 24 * 3600  # seconds; the return address works longer


def managed_study(request: LoggedIn, public_id: UUID) -> Study:
    mine = Study.objects.managed_by(request.user).select_related("campaign__project")
    return get_object_or_404(mine, public_id=public_id)


def remember(response: HttpResponse, participation: Participation) -> HttpResponse:
    """Let this browser act for the participation."""
    response.set_signed_cookie(
        COOKIE + participation.public_id.hex,
        participation.public_id.hex,
        salt=COOKIE_SALT,
        max_age=COOKIE_AGE,
        httponly=True,
        samesite="Lax",
        secure=settings.HTTPS,
    )
    return response


def forget(response: HttpResponse, participation: Participation) -> HttpResponse:
    """Take away what `remember` has left in the browser."""
    response.delete_cookie(COOKIE + participation.public_id.hex, samesite="Lax")
    return response


def has_cookie(request: HttpRequest, public_id: UUID) -> bool:
    name = COOKIE + public_id.hex
    value = request.get_signed_cookie(name, default="", salt=COOKIE_SALT, max_age=COOKIE_AGE)
    return value == public_id.hex


def remembered(request: HttpRequest) -> list[UUID]:
    """The participations this browser may act for."""
    names = [name.removeprefix(COOKIE) for name in request.COOKIES if name.startswith(COOKIE)]
    ids = [UUID(name) for name in names if len(name) == 32 and set(name) <= set("0123456789abcdef")]
    return [public_id for public_id in ids if has_cookie(request, public_id)]


def resume_token(participation: Participation) -> str:
    return signing.Signer(salt=RESUME_SALT).sign(participation.public_id.hex)


def resumed_id(token: str) -> UUID:
    """The participation of a return address; 404 when it was not signed by us."""
    try:
        return UUID(signing.Signer(salt=RESUME_SALT).unsign(token))
    except (signing.BadSignature, ValueError) as error:
        raise Http404("no such return address") from error


def consent_key() -> str:
    """For one page of consent: whose participation it begins. Signed, so that nobody names one that is begun."""
    return signing.Signer(salt=CONSENT_SALT).sign(uuid4().hex)


def consented_id(key: str) -> UUID | None:
    """The participation that the page begins; None where it came with none of ours, such as one of an older version."""
    try:
        return UUID(signing.Signer(salt=CONSENT_SALT).unsign(key))
    except (signing.BadSignature, ValueError):
        return None


# Of a participation `p` of an annotator `n`: who came by a link, or is still a member. A log-in that left the project
# opens nothing, by cookie neither.
ACTS_FOR = """p.public_id = %(public_id)s AND (%(by_cookie)s OR n.user_id = %(user)s)
AND (n.user_id IS NULL OR EXISTS (
  SELECT 1 FROM datasets_membership m WHERE m.project_id = n.project_id AND m.user_id = n.user_id))"""

MINE = """
SELECT p.* FROM annotation_participation p JOIN annotation_annotator n ON n.id = p.annotator_id WHERE {acts_for}"""

SHOWN = """
SELECT COALESCE(renewed.display, image.display), COALESCE(renewed.content_type, image.content_type)
FROM annotation_assignment a
JOIN annotation_participation p ON p.id = a.participation_id
JOIN annotation_annotator n ON n.id = p.annotator_id
JOIN annotation_item i ON i.id = a.item_id
JOIN datasets_pair pair ON pair.id = i.pair_id
JOIN datasets_image image
  ON image.id = CASE WHEN a.anonymized_key = %(key)s THEN pair.anonymized_id ELSE pair.original_id END
JOIN annotation_study study ON study.id = i.study_id
LEFT JOIN datasets_image renewed ON renewed.renews_id = image.id AND renewed.id <= study.newest_renewal
WHERE (a.anonymized_key = %(key)s OR a.original_key = %(key)s) AND a.served_at IS NOT NULL AND a.skipped_at IS NULL
AND (a.returned_at IS NULL OR a.answered_at IS NOT NULL) AND (study.state <> 'closed' OR a.answered_at IS NULL)
AND i.state = 'open' AND p.withdrawn_at IS NULL AND p.finished_at IS NULL AND {acts_for}"""


def _asking(request: HttpRequest, public_id: UUID) -> dict[str, Any]:
    """What `ACTS_FOR` names of a request."""
    by_cookie = has_cookie(request, public_id)
    # Whoever has the cookie need not be logged in, and is not looked up.
    user = None if by_cookie else user_id(request.user)
    return {"public_id": uuid_value(public_id), "by_cookie": by_cookie, "user": user}


def participation_of(request: HttpRequest, public_id: UUID) -> Participation:
    for participation in Participation.objects.raw(under(MINE, acts_for=ACTS_FOR), _asking(request, public_id)):
        return participation
    raise Http404(NOT_THEIRS)


def picture_of(request: HttpRequest, public_id: UUID, key: UUID) -> tuple[str, str]:
    """File and content type of a picture of a pair that this person holds or has rated. One query finds it and says
    whether they may see it; a 404 for everybody else.

    What went back to others unanswered is theirs no more; once the study is closed, neither is what they have rated,
    since they cannot change it any longer.
    """
    shown = under(SHOWN, acts_for=ACTS_FOR)
    found = fetch_one(shown, key=uuid_value(key), **_asking(request, public_id))
    if found is None:
        raise Http404("no such picture, or not for this person")
    name, content_type = found
    return name, content_type


View = Callable[Concatenate[HttpRequest, Participation, ...], HttpResponseBase]


def participation_required(view: View) -> Callable[..., HttpResponseBase]:
    """Open to the person the participation belongs to, logged in or not; a 404 for everybody else."""

    @in_their_language
    @login_not_required
    @never_cache
    @wraps(view)
    def wrapped(request: HttpRequest, participation: UUID, *args: Any, **kwargs: Any) -> HttpResponseBase:
        mine = participation_of(request, participation)
        if mine.withdrawn_at:
            return render(request, "annotation/annotators/gone.html", {"study": mine.study}, status=410)
        try:
            return view(request, mine, *args, **kwargs)
        except ParticipationErased as erased:
            raise Http404(NOT_THEIRS) from erased

    return wrapped


class ActsForParticipation(BaseAuthentication):
    """The same door for the answering protocol. `request.auth` is the participation."""

    def authenticate(self, request: Request) -> tuple[Any, Participation]:
        public_id = request.parser_context["kwargs"]["participation"]
        participation = participation_of(request._request, public_id)
        # The cookie alone would let other sites answer. Asked of Django's request: REST framework's would parse the
        # body to look for a token there, and whatever is wrong with it would surface here.
        SessionAuthentication().enforce_csrf(request._request)  # type: ignore[arg-type]
        return request._request.user, participation
