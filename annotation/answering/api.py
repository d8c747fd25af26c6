"""The answering protocol over HTTP, for the rating page and for programs alike."""

from typing import Any
from uuid import UUID

from django.utils.translation import gettext, gettext_lazy
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.access import ActsForParticipation
from annotation.answering.schema import answering
from annotation.answering.turn import take_turn
from annotation.answering.wire import MAX_ANSWERS, acknowledgement_data
from annotation.models.people import Participation
from datasets.refusals import Refusal


class Withdrawn(Refusal):
    code = "withdrawn"
    status = 410
    sentence = gettext_lazy("This participation was withdrawn; nothing more is stored.")


class NotInstructed(Refusal):
    """Whoever has not said yet which end of the scale is which, as the pages ask first."""

    code = "not_instructed"
    status = 409
    sentence = gettext_lazy("Read the instructions and answer the questions there before you rate.")


class Unreadable(Refusal):
    """A body that holds no list of answers."""

    code = "unreadable"


class AnswerView(APIView):
    """Answers in, acknowledgements and the next pairs out.

    Each answer is stored or refused on its own. The status is 200 when all were stored, else that of the first refused
    one (400 invalid, 404 not this person's pair, 409 rated already or not to be revised); the body is the same.
    """

    authentication_classes = [ActsForParticipation]
    permission_classes = []  # the lookup is the permission
    login_required = False

    @answering
    def post(self, request: Request, participation: UUID) -> Response:
        mine: Participation = request.auth  # type: ignore[assignment]
        if mine.withdrawn_at:
            raise Withdrawn
        if mine.instructed_at is None:
            raise NotInstructed
        data = _body(request)
        turn = take_turn(mine, _answers(data), painted=data.get("painted"))
        acknowledgements = turn["acknowledgements"]
        refused = [each.http_status for each in acknowledgements if each.status == "refused"]
        body = turn | {"acknowledgements": [acknowledgement_data(each) for each in acknowledgements]}
        return Response(body, status=refused[0] if refused else 200, headers={"Cache-Control": "private, no-store"})


def _body(request: Request) -> Any:
    try:
        return request.data
    except RecursionError as error:  # thousands of brackets in brackets
        raise Unreadable(gettext("The JSON is nested too deeply.")) from error


def _answers(data: Any) -> list[Any]:
    if not isinstance(data, dict) or not isinstance(data.get("answers"), list):
        raise Unreadable(gettext('Send an object with a list: {"answers": [...]}.'))
    if len(data["answers"]) > MAX_ANSWERS:
        raise Unreadable(gettext("At most %(most)s answers in one request.") % {"most": MAX_ANSWERS})
    return list(data["answers"])
