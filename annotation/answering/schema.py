"""What the answering protocol takes and gives, in the words of OpenAPI; served at /api/schema/.

`tests/test_api_schema.py` holds every reply of the site against it.
"""

from typing import Any

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

from annotation.access import COOKIE, ActsForParticipation
from annotation.answering import refusals
from annotation.answering.cues import MAX_CUES, MIN_SIDE, PLACES
from annotation.answering.skips import MAX_WORDS
from annotation.answering.viewing import LIMITS, MAX_SECONDS, MODES
from annotation.answering.wire import MAX_ANSWERS, MAX_KEY
from annotation.models.ratings import Assignment, Remark, Report
from annotation.models.studies import MAX_SCORE, MIN_SCORE
from datasets.models.releases import CueKind, Mode

Schema = dict[str, Any]

REFUSALS: tuple[type[refusals.AnswerRefused], ...] = (
    refusals.InvalidScore,
    refusals.InvalidAnswer,
    refusals.UnknownAssignment,
    refusals.AlreadyRated,
    refusals.NotRated,
    refusals.RevisionsEnded,
    refusals.KeyAlreadyUsed,
)


def _object(*, optional: tuple[str, ...] = (), closed: bool = True, **properties: Schema) -> Schema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": not closed}


def _list(of: Schema, **bounds: int) -> Schema:
    return {"type": "array", "items": of, **bounds}


def _named(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _of_type(*types: str, **more: Any) -> Schema:
    return {"type": types[0] if len(types) == 1 else list(types), **more}


TEXT, BOOLEAN, COUNT = _of_type("string"), _of_type("boolean"), _of_type("integer", minimum=0)
ID = _of_type("string", format="uuid")
SECONDS = _of_type("number", "null", minimum=0, maximum=MAX_SECONDS)
SCORE_BOUNDS = {"minimum": MIN_SCORE, "maximum": MAX_SCORE}

SPENT: dict[str, Any] = dict.fromkeys(MODES, _of_type("number", minimum=0, maximum=MAX_SECONDS))
SEEN: dict[str, Any] = {name: _of_type("number", minimum=0, maximum=limit) for name, limit in LIMITS.items()}
VIEWING = _object(seconds=_object(optional=MODES, **SPENT), **SEEN)
PLACE: dict[str, Any] = {name: COUNT | {"minimum": 0 if name in "xy" else MIN_SIDE} for name in PLACES}
CUE = _object(closed=False, kind=_of_type("string", enum=CueKind.values), **PLACE)
ANSWER = _object(
    optional=("score", "seconds", "hidden_seconds", "revises", "viewing", "cues", "note", "knows", "skips"),
    closed=False,
    key=ID | {"description": "Made by the client. The same answer sent again is stored once and acknowledged alike."},
    assignment=ID | {"description": "Of a lease that was given out to this person."},
    score=_of_type("integer", **SCORE_BOUNDS),
    seconds=SECONDS | {"description": "From all pictures painted to the answer, without hidden-tab time."},
    hidden_seconds=SECONDS | {"description": "With the tab in the background."},
    revises=BOOLEAN | {"default": False, "description": "Whether this replaces an earlier answer."},
    note=TEXT | {"description": f"A remark; the first {MAX_WORDS} characters are kept."},
    knows=TEXT | {"description": f"Who or where this is: {', '.join(Remark.Knows.values)}; anything else is ignored."},
    skips=_of_type("string", "null", enum=[*Report.Kind.values, None])
    | {"description": "Instead of a score: why this pair is not rated."},
    viewing={"oneOf": [VIEWING, {"type": "null"}], "description": "How it was looked at; anything else is ignored."},
    cues={
        "oneOf": [_list(_named("Cue"), maxItems=MAX_CUES), {"type": "null"}],
        "description": "Where the study asks: boxes on what gives identity or place away, in pixels of the anonymized "
        "picture. A box that is not as described here or not within the picture is ignored, and so are those after "
        f"the first {MAX_CUES}. A revision says them all anew.",
    },
)
ANSWERS = _object(
    optional=("painted",),
    closed=False,
    answers=_list(_named("Answer"), maxItems=MAX_ANSWERS),
    painted=_of_type("string", "null", format="uuid", description="The pair on the screen; anything else is ignored."),
)
ACKNOWLEDGEMENT = _object(
    key=_of_type("string", maxLength=MAX_KEY),
    status=_of_type("string", enum=["stored", "refused"]),
    code=_of_type("string", enum=["", *(each.code for each in REFUSALS)]),
    detail=TEXT,
    score=_of_type("integer", "null", **SCORE_BOUNDS, description="What is stored now."),
    feedback=TEXT | {"description": "After a practice pair: how it is usually rated."},
)
PICTURE = _object(
    side=_of_type("string", enum=["original", "anonymized"]),
    url=TEXT,
    width=_of_type("integer", minimum=1),
    height=_of_type("integer", minimum=1),
)
LEASE = _object(
    assignment=ID,
    position=_of_type("integer", minimum=1),
    mode=_of_type("string", enum=Mode.values),
    instruction=TEXT | {"description": "What to choose for this one; mostly empty."},
    pictures=_list(_named("Picture"), minItems=1, maxItems=len(Assignment.Side)),
)
TURN = _object(
    acknowledgements=_list(_named("Acknowledgement"), maxItems=MAX_ANSWERS),
    leases=_list(_named("Lease")),
    progress=_object(done=COUNT, total=COUNT),
    finished=BOOLEAN,
    finished_url=TEXT,
)
COMPONENTS = {
    "Answers": ANSWERS,
    "Answer": ANSWER,
    "Cue": CUE,
    "Turn": TURN,
    "Acknowledgement": ACKNOWLEDGEMENT,
    "Lease": LEASE,
    "Picture": PICTURE,
    "Detail": _object(detail=TEXT),
}


def with_components(result: Schema, generator: Any, request: Any, public: bool) -> Schema:
    """A hook of drf-spectacular's, which knows no components but serializers."""
    result["components"]["schemas"] = COMPONENTS
    return result


def _reply(name: str, description: str) -> OpenApiResponse:
    return OpenApiResponse(response=_named(name), description=description)


def _refused(status: int, *, otherwise: str = "") -> OpenApiResponse:
    """An answer was refused for one of these reasons, or, with `otherwise`, all that was sent."""
    codes = ", ".join(f"`{each.code}`" for each in REFUSALS if each.status == status)
    said = f"At least one answer was refused, the first of them as {codes}; the others are stored."
    if not otherwise:
        return _reply("Turn", said)
    either = {"oneOf": [_named("Turn"), _named("Detail")]}
    return OpenApiResponse(response=either, description=f"{said} Or: {otherwise}")


answering = extend_schema(
    operation_id="answer",
    summary="Answers in, acknowledgements and the next pairs out",
    request={"application/json": _named("Answers")},
    parameters=[
        OpenApiParameter("X-CSRFToken", str, OpenApiParameter.HEADER, required=True, description="As in the cookie.")
    ],
    responses={
        200: _reply("Turn", "All answers are stored."),
        400: _refused(400, otherwise="the body is not JSON of this kind; nothing is stored."),
        403: _reply("Detail", "The CSRF token is missing or wrong."),
        404: _refused(404, otherwise="there is no such participation, or it is not this person's."),
        406: _reply("Detail", "The reply can be JSON only."),
        409: _refused(409, otherwise="the questions on the scale are not answered yet; nothing is stored."),
        410: _reply("Detail", "The participation was withdrawn; nothing more is stored."),
        415: _reply("Detail", "The body can be JSON only."),
        503: _reply(
            "Detail", "The database is away; `Retry-After` says for how many seconds. Text where JSON is not asked for."
        ),
    },
)


class ParticipationScheme(OpenApiAuthenticationExtension):
    target_class = ActsForParticipation
    name = ["participation", "log-in"]  # either of them

    def get_security_requirement(self, auto_schema: Any) -> Any:
        return [{name: []} for name in self.name]

    def get_security_definition(self, auto_schema: Any) -> Any:
        said = "Set when somebody begins. ID is the participation's, in hexadecimal digits without dashes."
        return [
            {"type": "apiKey", "in": "cookie", "name": f"{COOKIE}ID", "description": said},
            {
                "type": "apiKey",
                "in": "cookie",
                "name": settings.SESSION_COOKIE_NAME,
                "description": "The annotator's own log-in.",
            },
        ]
