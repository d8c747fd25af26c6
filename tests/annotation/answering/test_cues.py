"""Boxes on what gives identity or place away: what is kept of them, and that they never cost anybody an answer."""

import csv
import json
from collections.abc import Iterable
from io import StringIO
from typing import Any

import pytest
from django.core.exceptions import ObjectDoesNotExist
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from annotation.answering.cues import MAX_CUES, MIN_SIDE, Box, parsed_cues
from annotation.answering.turn import take_turn
from annotation.models.people import Participation
from annotation.models.ratings import Assignment, Cue, Rating, Remark, Revision
from annotation.models.studies import Study
from annotation.privacy import erase_participation
from annotation.studies.wording import CUES_CONSENT, current_texts
from annotation.watching.decisions import decide
from datasets.models.projects import Role
from datasets.models.releases import CueKind
from tests import make
from tests.annotation.pages.test_pages import study_form
from tests.races import meanwhile

pytestmark = pytest.mark.postgres
WIDTH, HEIGHT = 48, 32  # of the pictures that make.py makes
FACE = {"kind": "face", "x": 3, "y": 2, "width": 10, "height": 8}
TEXT = {"kind": "text", "x": 0, "y": 28, "width": WIDTH, "height": 4}
AS_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.sampled_from(CueKind.values),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*FACE, "z"]), inner),
)
A_BOX = st.fixed_dictionaries(
    {"kind": st.sampled_from(CueKind.values)} | {name: st.integers(0, 40) for name in ("x", "y", "width", "height")}
)


def with_box(**fields: Any) -> dict[str, Any]:
    return FACE | fields


def asking(**fields: Any) -> Study:
    """Four pairs, all of them in front of whoever comes."""
    return make.study(asks_cues=True, **{"window": 4, "goal": 9} | fields)


@pytest.fixture
def person() -> Participation:
    return make.participation(asking())


def say(person: Participation, *cues: Any, score: int = 7, of: Assignment | None = None, **fields: Any) -> Assignment:
    """One answer with these boxes, stored."""
    assignment = of or make.leases(person)[0]
    [acknowledgement] = take_turn(person, [make.answer(assignment, score, cues=list(cues), **fields)])[
        "acknowledgements"
    ]
    assert acknowledgement.status == "stored"
    return assignment


def marked(assignment: Assignment) -> list[dict[str, Any]]:
    """The boxes of the answer as it stands."""
    return as_sent(Cue.objects.current().filter(revision__rating__assignment=assignment))


def as_sent(cues: Iterable[Cue]) -> list[dict[str, Any]]:
    return [{name: getattr(cue, name) for name in FACE} for cue in cues]


# What is kept -------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_boxes_are_stored_beside_the_answer_as_they_were_drawn(person: Participation) -> None:
    assert marked(say(person, FACE, TEXT)) == [FACE, TEXT]


@pytest.mark.django_db
@pytest.mark.parametrize("purpose", ["practice", "warm_up", "check", "repeat"])
def test_they_are_stored_whatever_a_pair_is_for(person: Participation, purpose: str) -> None:
    assignment = make.leases(person)[0]
    Assignment.objects.filter(pk=assignment.pk).update(purpose=purpose)
    assert marked(say(person, FACE, of=assignment)) == [FACE]


@pytest.mark.django_db
def test_in_a_study_that_does_not_ask_they_are_left_out_and_the_answer_counts() -> None:
    person = make.participation(make.study())
    assignment = say(person, FACE)
    say(person, FACE, of=assignment, score=3, revises=True)
    assert Rating.objects.get().score == 3
    assert not Cue.objects.exists()


CANNOT_BE = [
    None, 7, "face", [], {}, [FACE], with_box(kind="nose"), with_box(kind=["face"]), with_box(kind=None),
    with_box(x=-1), with_box(y=-1), with_box(x="3"), with_box(x=None), with_box(x=3.5), with_box(width=True),
    with_box(x=float("nan")), with_box(width=float("inf")), with_box(width=0), with_box(height=0),
    with_box(width=MIN_SIDE - 1), with_box(height=MIN_SIDE - 1), with_box(x=WIDTH - 9), with_box(y=HEIGHT - 7),
    with_box(x=WIDTH), with_box(width=10**30), with_box(x=2**31 - 5), {"kind": "face", "x": 3, "y": 2, "width": 10},
]  # fmt: skip


@pytest.mark.rarely
@pytest.mark.django_db
@pytest.mark.parametrize("box", CANNOT_BE, ids=str)
def test_a_box_that_cannot_be_is_left_out_and_the_answer_and_the_others_count(person: Participation, box: Any) -> None:
    assignment = make.leases(person)[0]
    body = json.dumps({"answers": [make.answer(assignment, cues=[box, TEXT], note="A sign.")]})
    address = reverse("annotation:answer", args=[person.public_id])
    reply = make.browser(person).post(address, body, content_type="application/json")
    assert reply.status_code == (400 if "NaN" in body or "Infinity" in body else 200)  # which are no JSON
    if reply.status_code == 200:
        assert (Rating.objects.get().score, Remark.objects.get().note) == (7, "A sign.")
        assert marked(assignment) == [TEXT]


@pytest.mark.django_db
@pytest.mark.parametrize("cues", [None, "face", 3, {}, FACE, True], ids=str)
def test_what_is_no_list_holds_no_box_and_the_answer_counts(person: Participation, cues: Any) -> None:
    take_turn(person, [make.answer(make.leases(person)[0], cues=cues)])
    assert Rating.objects.get().score == 7
    assert not Cue.objects.exists()


@pytest.mark.django_db
def test_of_many_boxes_the_first_twenty_are_kept(person: Participation) -> None:
    many = [with_box(x=n % 14, y=n % 8) for n in range(MAX_CUES + 5)]
    assert marked(say(person, *many)) == many[:MAX_CUES]


@pytest.mark.django_db
def test_boxes_reach_to_every_edge_of_the_picture_and_not_beyond(person: Participation) -> None:
    whole = with_box(x=0, y=0, width=WIDTH, height=HEIGHT)
    corner = with_box(x=WIDTH - MIN_SIDE, y=HEIGHT - MIN_SIDE, width=MIN_SIDE, height=MIN_SIDE)
    beyond = with_box(x=WIDTH - 9, y=0), with_box(x=0, y=HEIGHT - 7)
    assert marked(say(person, whole, corner, *beyond)) == [whole, corner]


@pytest.mark.django_db
def test_they_are_measured_on_the_anonymized_picture_whatever_the_original_is_like() -> None:
    project = make.project()
    make.pair(project, original=make.image(project, size=(400, 300)), anonymized=make.image(project, size=(60, 40)))
    study = asking(of=project, n_pairs=0)
    fits, beyond = with_box(x=50, y=32), with_box(x=51, y=32)
    assert marked(say(make.participation(study), fits, beyond)) == [fits]


@given(AS_JSON)
def test_whatever_comes_only_boxes_that_can_be_are_kept(data: Any) -> None:
    for box in parsed_cues(data):
        assert box.kind in CueKind.values
        assert min(box.width, box.height) >= MIN_SIDE
        assert min(box.x, box.y) >= 0


@given(st.lists(A_BOX, max_size=30))
def test_what_can_be_is_kept_in_its_order(boxes: list[dict[str, Any]]) -> None:
    can_be = [box for box in boxes if min(box["width"], box["height"]) >= MIN_SIDE]
    assert parsed_cues(boxes) == tuple(Box(**box) for box in can_be[:MAX_CUES])


@pytest.mark.django_db
def test_the_database_keeps_no_empty_box(person: Participation) -> None:
    say(person)
    with pytest.raises(IntegrityError, match="cue_is_not_empty"), transaction.atomic():
        Cue.objects.create(revision=Revision.objects.get(), kind="face", x=0, y=0, width=0, height=3)


# Once, with the answer, and anew with a revision ----------------------------------------------------------------------


@pytest.mark.django_db
def test_the_same_answer_sent_again_stores_its_boxes_once(person: Participation) -> None:
    sent = make.answer(make.leases(person)[0], cues=[FACE, TEXT])
    for _ in range(3):
        assert take_turn(person, [sent])["acknowledgements"][0].status == "stored"
    assert Cue.objects.count() == 2


@pytest.mark.django_db
def test_a_refused_answer_leaves_no_box(person: Participation) -> None:
    assignment = say(person, FACE)
    second = make.answer(assignment, 2, cues=[TEXT])
    assert take_turn(person, [second])["acknowledgements"][0].code == "already_rated"
    taken = make.answer(make.leases(person)[0], 2, cues=[TEXT]) | {"key": str(Revision.objects.get().key)}
    assert take_turn(person, [taken])["acknowledgements"][0].code == "key_already_used"
    assert as_sent(Cue.objects.all()) == [FACE]


@pytest.mark.django_db
def test_what_fails_after_the_boxes_takes_them_and_the_answer_back(person: Participation) -> None:
    sent = make.answer(make.leases(person)[0], cues=[FACE])

    def fail() -> None:
        assert Cue.objects.exists()
        raise ObjectDoesNotExist

    with meanwhile("INSERT INTO annotation_cue", fail, after=True), pytest.raises(ObjectDoesNotExist):
        take_turn(person, [sent])
    assert not Rating.objects.exists()
    assert not Cue.objects.exists()


@pytest.mark.django_db
def test_a_revision_says_its_boxes_anew_and_the_first_stay_in_the_history(person: Participation) -> None:
    assignment = say(person, FACE)
    revision = make.answer(assignment, 3, cues=[TEXT], revises=True)
    for _ in range(2):
        assert take_turn(person, [revision])["acknowledgements"][0].score == 3
    assert marked(assignment) == [TEXT]
    first, second = Revision.objects.order_by("number")
    assert (as_sent(first.cues.all()), as_sent(second.cues.all())) == ([FACE], [TEXT])
    say(person, of=assignment, score=4, revises=True)
    assert marked(assignment) == []


@pytest.mark.django_db
def test_an_answer_without_boxes_takes_no_statement_more_and_one_with_boxes_takes_one() -> None:
    def n_statements(cues: list[Any], *, asks: bool) -> int:
        study = make.study(asks_cues=asks)
        study.items.update(shuffle=2**31 - 1)  # no draw goes round the ring, which takes one more
        person = make.participation(study)
        sent = make.answer(make.leases(person)[0], cues=cues)
        with CaptureQueriesContext(connection) as captured:
            take_turn(person, [sent])
        return len(captured)

    usual = n_statements([], asks=False)
    assert n_statements([], asks=True) == n_statements([FACE], asks=False) == usual
    assert n_statements([FACE], asks=True) == n_statements([FACE] * MAX_CUES, asks=True) == usual + 1


# Whose they are ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_nobody_who_rates_is_ever_sent_a_box(person: Participation) -> None:
    """Not others', and not one's own: what the page shows again it has kept itself."""
    say(person, with_box(x=4321 % 14), TEXT)
    other = make.participation(person.study)
    given_out = make.leases(other)
    assert {each.item_id for each in given_out} & {each.item_id for each in person.assignments.all()}
    for who in (person, other):
        browser, ids = make.browser(who), [who.public_id]
        turn = browser.post(reverse("annotation:answer", args=ids), {"answers": []}, content_type="application/json")
        assert {name for lease in turn.json()["leases"] for name in lease} == {
            "assignment", "position", "mode", "instruction", "pictures",
        }  # fmt: skip
        pages = [browser.get(reverse(f"annotation:{name}", args=ids)) for name in ("rate", "your-data", "instructions")]
        assert not [page for page in [turn, *pages] if '"kind":' in page.content.decode()]


@pytest.mark.django_db
def test_who_is_erased_takes_all_boxes_along_those_of_revisions_too(person: Participation) -> None:
    assignment = say(person, FACE)
    say(person, TEXT, of=assignment, revises=True)
    stays = say(make.participation(person.study), TEXT)
    erase_participation(person)
    assert as_sent(Cue.objects.all()) == marked(stays) == [TEXT]


# What researchers see ------------------------------------------------------------------------------------------------


@pytest.fixture
def boss(person: Participation) -> Client:
    client = Client()
    client.force_login(make.member(person.study.project))
    return client


def page_of(boss: Client, assignment: Assignment) -> Any:
    study = assignment.participation.study
    return boss.get(reverse("annotation:item", args=[study.public_id, assignment.item_id]))


@pytest.mark.django_db
def test_the_pairs_page_shows_the_boxes_as_they_stand_with_who_drew_them(person: Participation, boss: Client) -> None:
    assignment = say(person, FACE)
    say(person, TEXT, of=assignment, revises=True)
    page = page_of(boss, assignment)
    assert as_sent(page.context["cues"]) == [TEXT]
    words = page.content.decode()
    assert f'viewBox="0 0 {WIDTH} {HEIGHT}"' in words
    assert words.count('<rect x="0" y="28" width="48" height="4" />') == 1
    table = words.split('id="cues"')[1].split("</table>")[0]
    assert person.annotator.pseudonym in table
    assert "Text" in table
    assert "Face" not in table


@pytest.mark.django_db
def test_boxes_of_people_who_withdrew_are_shown_to_nobody(person: Participation, boss: Client) -> None:
    assignment = say(person, FACE)
    Participation.objects.update(withdrawn_at=timezone.now())
    assert page_of(boss, assignment).context["cues"] == []
    assert not any(each["n"] for each in counts(boss, person.study))
    assert rows(boss, person.study) == []


@pytest.mark.django_db
def test_a_study_that_does_not_ask_shows_no_empty_section() -> None:
    study = make.rated_study()
    client = Client()
    client.force_login(make.member(study.project))
    for page in (
        client.get(reverse("annotation:study", args=[study.public_id])),
        client.get(reverse("annotation:item", args=[study.public_id, study.items.first().pk])),
    ):
        assert 'id="cues"' not in page.content.decode()


@pytest.mark.django_db
def test_many_boxes_cost_a_researchers_page_what_few_cost(person: Participation, boss: Client) -> None:
    first, study = say(person, FACE), person.study
    addresses = [
        reverse("annotation:study", args=[study.public_id]),
        reverse("annotation:item", args=[study.public_id, first.item_id]),
        reverse("annotation:cues", args=[study.public_id]),
    ]

    def costs() -> list[int]:
        found = []
        for address in addresses:
            with CaptureQueriesContext(connection) as captured:
                b"".join(boss.get(address))
            found.append(len(captured))
        return found

    few = costs()
    for other in [make.participation(study) for _ in range(3)]:
        again = next(each for each in make.leases(other) if each.item_id == first.item_id)
        say(other, *[TEXT] * MAX_CUES, of=again)
    assert costs() == few


def counts(boss: Client, study: Study) -> list[dict[str, Any]]:
    return boss.get(reverse("annotation:study", args=[study.public_id])).context["cue_counts"]


@pytest.mark.django_db
def test_the_studys_page_counts_boxes_answers_and_pairs_by_kind(person: Participation, boss: Client) -> None:
    same = say(person, FACE, FACE, TEXT)
    say(person, FACE)
    other = make.participation(person.study)
    again = next(each for each in make.leases(other) if each.item_id == same.item_id)
    say(other, FACE, of=again)
    by_kind = {each["kind"]: (each["n"], each["n_answers"], each["n_pairs"]) for each in counts(boss, person.study)}
    assert by_kind == dict.fromkeys(CueKind.labels, (0, 0, 0)) | {"Face": (4, 3, 2), "Text": (1, 1, 1)}


def rows(boss: Client, study: Study) -> list[dict[str, str]]:
    reply = boss.get(reverse("annotation:cues", args=[study.public_id]))
    assert reply["Content-Disposition"].endswith('-cues.csv"')
    return list(csv.DictReader(StringIO(reply.getvalue().decode())))


@pytest.mark.django_db
def test_the_boxes_so_far_are_downloaded_beside_the_ratings(person: Participation, boss: Client) -> None:
    assignment = say(person, FACE)
    say(person, TEXT, of=assignment, revises=True)
    say(make.participation(person.study), FACE)
    decide(person, "use", verdict=False, reason="turned the scale around")
    found = rows(boss, person.study)
    assert [(row["kind"], row["used"]) for row in found if row["annotator"] == person.annotator.pseudonym] == [
        ("text", "0")
    ]
    [used] = [row for row in found if row["used"] == "1"]
    size = {"image_width": str(WIDTH), "image_height": str(HEIGHT)}
    assert used.items() >= ({name: str(value) for name, value in FACE.items()} | size).items()


@pytest.mark.django_db
def test_only_who_manages_the_project_downloads_boxes(person: Participation, client: Client) -> None:
    client.force_login(make.member(person.study.project, Role.ANNOTATOR))
    assert client.get(reverse("annotation:cues", args=[person.study.public_id])).status_code == 404


# Asking for them ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("asks", [True, False])
def test_a_researcher_asks_for_boxes_in_the_form_and_the_consent_says_so(asks: bool) -> None:
    project = make.project()
    make.pairs(project, 2)
    client = Client()
    client.force_login(make.member(project))
    address = reverse("annotation:study-new", args=[project.slug])
    assert not client.get(address).context["form"]["asks_cues"].value()
    client.post(address, study_form(**({"asks_cues": "on"} if asks else {})))
    study = Study.objects.get()
    assert study.asks_cues is asks
    assert (CUES_CONSENT in current_texts(study)["consent"].body) is asks


@pytest.mark.django_db
@pytest.mark.parametrize("asks", [True, False])
@pytest.mark.parametrize("mode", ["HA1", "HA2"])
def test_the_pages_speak_of_boxes_only_where_the_study_asks(asks: bool, mode: str) -> None:
    person = make.participation(make.study(asks_cues=asks, mode=mode))
    browser = make.browser(person)
    rate, instructions = (
        browser.get(reverse(f"annotation:{name}", args=[person.public_id])).content.decode()
        for name in ("rate", "instructions")
    )
    assert [("data-cues" in rate), ("cues.js" in rate), ("<kbd>C</kbd>" in rate)] == [asks] * 3
    assert ("what gives a person or a place away" in instructions) is asks


@pytest.mark.django_db
def test_the_page_offers_every_kind_and_the_servers_limits() -> None:
    person = make.participation(asking())
    page = make.browser(person).get(reverse("annotation:rate", args=[person.public_id])).content.decode()
    row = page.split("data-cue-row")[1].split("</template>")[0]
    offered = [part.split('"')[0] for part in row.split('<option value="')[1:]]
    assert offered == ["", *CueKind.values]
    assert f'data-most="{MAX_CUES}"' in page
    assert f'data-least-side="{MIN_SIDE}"' in page
