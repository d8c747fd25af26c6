"""How a person comes into a study."""

from collections.abc import Callable
from datetime import timedelta
from math import ceil
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction
from django.db.models import Min, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from annotation.giving.leases import expired, reserve_first, reserve_session, return_expired_leases
from annotation.models.people import Annotator, Invitation, Participation
from annotation.models.ratings import Assignment
from annotation.models.studies import Item, Study, StudyText
from datasets.refusals import Refusal

# Sets the rest of a session aside once its first pairs are: at once, or when the person has their reply.
Rest = Callable[[Participation], None]
SENT_AGAIN = timedelta(minutes=1)  # two clicks on a button, or a request that the browser repeats


class CannotJoin(Refusal):
    """Why this person cannot take part; `code` chooses the page's words."""

    status = 409

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def refusal(study: Study, invitation: Invitation | None = None) -> str | None:
    """Why nobody new can begin now: `revoked`, `used` (a personal link), `closed`, `held` or `full`; else None.

    `_begin` knows one more, `seen`: all that is left would be spoilt for this person.
    """
    if invitation and invitation.revoked_at:
        return "revoked"
    if invitation and invitation.used_at:
        return "used"
    if not study.is_open or study.simulated:  # a program's ratings and people's are never mixed
        return "closed"
    if study.items.wanting_ratings().exists() or expired(study.pk).exists():
        return None
    return _without_places(study)


def _without_places(study: Study) -> str:
    """Where no place is free: `held` while people who have not answered yet have some of them, else `full`."""
    return "held" if held_places(study).exists() else "full"


def held_places(study: Study) -> QuerySet[Assignment]:
    """The places that come free if those who have them do not answer."""
    return Assignment.objects.held().filter(
        item__study=study, item__state=Item.State.OPEN, purpose=Assignment.Purpose.MAIN
    )


def minutes_until_free(study: Study) -> int:
    """Until the first of the places that others hold may come free: whole minutes, at least 1."""
    until = held_places(study).aggregate(first=Min("participation__leased_until"))["first"]
    seconds = (until - timezone.now()).total_seconds() if until else 0
    return max(1, ceil(seconds / 60))


def join_by_invitation(
    invitation: Invitation, *, agreed_to: StudyText, public_id: UUID | None = None, rest: Rest = reserve_session
) -> Participation:
    """Begin. `agreed_to` is the text that was shown. `public_id`, the participation's, was chosen when it was shown, so
    that the same page sent twice begins once.
    """
    _make_room(invitation.study)
    with transaction.atomic():
        # Two clicks on the button: the second waits, then finds the first one's participation.
        invitation = (
            Invitation.objects.select_for_update(of=("self",)).select_related("study__campaign").get(pk=invitation.pk)
        )
        if begun := just_begun(invitation, public_id):
            return begun
        if code := refusal(invitation.study, invitation):
            raise CannotJoin(code)
        annotator = Annotator.objects.create(project=invitation.study.project)
        if public_id is None or Participation.objects.filter(public_id=public_id).exists():
            public_id = uuid4()
        begun = _begin(invitation.study, annotator, invitation, agreed_to, public_id)
        if invitation.kind == Invitation.Kind.PERSONAL:
            Invitation.objects.filter(pk=invitation.pk).update(used_at=Now())
    rest(begun)
    return begun


def just_begun(invitation: Invitation, public_id: UUID | None) -> Participation | None:
    """What this page of consent has begun a moment ago, when it is sent again; later it opens nothing."""
    if public_id is None:
        return None
    lately = timezone.now() - SENT_AGAIN
    return (
        invitation.participations.not_withdrawn()
        .filter(public_id=public_id, consented_at__gt=lately)
        .select_related("study")
        .first()
    )


def join_as_member(study: Study, user_id: int, *, agreed_to: StudyText, rest: Rest = reserve_session) -> Participation:
    """Begin or go on as a member of the project, under the same pseudonym in all its studies."""
    annotator, _ = Annotator.objects.get_or_create(project=study.project, user_id=user_id)
    begun = _participation_of(annotator, study)
    if begun is None:
        if code := refusal(study):
            raise CannotJoin(code)
        _make_room(study)
        try:
            with transaction.atomic():
                # Held until the end: erased in another study at this moment, they would be gone.
                mine = Annotator.objects.select_for_update(no_key=True)
                annotator, _ = mine.get_or_create(project=study.project, user_id=user_id)
                begun = _begin(study, annotator, None, agreed_to, uuid4())
        except IntegrityError:  # the same person in another tab
            begun = _participation_of(annotator, study)
            assert begun is not None  # noqa: S101  it is what the constraint has found
        else:
            rest(begun)
    if begun.study_id != study.pk:
        raise CannotJoin("other_study")
    return begun


def _participation_of(annotator: Annotator, study: Study) -> Participation | None:
    mine = Participation.objects.select_related("study").filter(annotator=annotator, campaign=study.campaign_id)
    return mine.first()


def _make_room(study: Study) -> None:
    """Where all places are taken: give those free that nobody came back for."""
    while not study.items.wanting_ratings().exists() and return_expired_leases(study.pk):
        pass  # what came back were pairs that take no place, such as warm-ups


def _begin(
    study: Study, annotator: Annotator, invitation: Invitation | None, agreed_to: StudyText, public_id: UUID
) -> Participation:
    """A participation with its first pairs set aside; without any it is not begun. The rest is set aside at leisure."""
    begun = Participation.objects.create(
        public_id=public_id,
        study=study,
        campaign=study.campaign,
        annotator=annotator,
        invitation=invitation,
        language=agreed_to.language,
        consent_text=agreed_to,
        consented_at=Now(),
        n_planned=session_length(study),
    )
    if not reserve_first(begun):
        raise CannotJoin("seen" if study.items.wanting_ratings().exists() else _without_places(study))
    return begun


def session_length(study: Study) -> int:
    """How many pairs a new session has: as the study says, or as many as there are."""
    return min(study.session_size, study.items.filter(state=Item.State.OPEN)[: study.session_size].count())


def n_further(participation: Participation) -> int:
    """How many pairs a person who has finished may rate in another session."""
    study = participation.study
    if not study.is_open or study.person_limit is None or participation.finished_at is None:
        return 0
    return max(0, min(study.session_size, study.person_limit - participation.n_planned))


def begin_another_session(participation: Participation, *, rest: Rest = reserve_session) -> None:
    """Go on after the end of a session, up to what the study allows one person. Raises CannotJoin, `held`
    or `full`."""
    _make_room(participation.study)
    with transaction.atomic():
        mine = Participation.objects.select_for_update(of=("self",)).select_related("study").get(pk=participation.pk)
        if not (further := n_further(mine)):  # in another tab it has begun already, or the study has stopped
            return
        mine.n_planned, mine.finished_at = mine.n_answered + further, None
        mine.save(update_fields=["n_planned", "finished_at"])
        if not reserve_first(mine):
            raise CannotJoin(_without_places(mine.study))
    rest(mine)
