"""A study's pairs leave as a file and come back as roles: all checked first, each fault with its line."""

import csv
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from annotation.models.studies import Item, Study
from annotation.studies.life import change_state
from annotation.watching import role_files
from tests import make

pytestmark = pytest.mark.django_db
HEADER = "pair,role,expected,tolerance,direction,instructed_score\n"


@pytest.fixture
def study() -> Study:
    project = make.project()
    for original in ("a", "b"):
        picture = make.image(project)
        for method in ("blur", "mask"):
            paths = {"original_path": f"{original}.png", "anonymized_path": f"{method}/{original}.png"}
            make.pair(project, original=picture, group=original, method=method, **paths)
    return make.study(project, n_pairs=0, is_open=False)


def named(study: Study) -> str:
    return f"{study.project.slug}/{study.campaign.slug}/{study.mode}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "roles.csv"


def give_roles(study: Study, file: Path, capsys: Any) -> str:
    call_command("give_roles", named(study), str(file))
    return str(capsys.readouterr().out)


def item(study: Study, path: str) -> Item:
    return study.items.get(pair__anonymized_path=path)


def roles(study: Study) -> list[str]:
    return list(study.items.order_by("pk").values_list("role", flat=True))


def downloaded(study: Study, who: Any = None) -> Any:
    client = Client()
    client.force_login(who or make.member(study.project))
    return client.get(reverse("annotation:items-csv", args=[study.public_id]))


def text_of(reply: Any) -> str:
    return b"".join(reply.streaming_content).decode()


# Out --------------------------------------------------------------------------------------------------------------


def test_all_pairs_come_with_number_names_kind_and_role(study: Study) -> None:
    Item.objects.filter(pk=item(study, "mask/b.png").pk).update(role="check", goal=0, expected_low=1, expected_high=3)
    Item.objects.filter(pk=item(study, "blur/b.png").pk).update(role="check", goal=0, instructed_score=4)
    rows = list(csv.DictReader(text_of(downloaded(study)).splitlines()))
    assert [row["anonymized"] for row in rows] == ["blur/a.png", "mask/a.png", "blur/b.png", "mask/b.png"]
    assert rows[0] == {
        "pair": str(item(study, "blur/a.png").pair.number), "original": "a.png", "anonymized": "blur/a.png",
        "source": "test", "scope": "global", "method": "blur", "group": "a", "state": "open", "is_core": "1",
        "role": "main", "expected": "", "tolerance": "", "direction": "", "instructed_score": "",
    }  # fmt: skip
    assert [rows[3][name] for name in ("role", "expected", "tolerance", "direction")] == ["check", "3", "0", "at_most"]
    assert (rows[2]["role"], rows[2]["expected"], rows[2]["instructed_score"]) == ("check", "", "4")


def test_the_pairs_are_for_those_who_manage_the_study_alone(study: Study) -> None:
    for other in (make.member(study.project, "annotator"), make.member(make.project())):
        assert downloaded(study, other).status_code == 404
    assert downloaded(study).streaming


def test_the_page_of_the_pairs_leads_to_the_file(study: Study) -> None:
    client = Client()
    client.force_login(make.member(study.project))
    page = client.get(reverse("annotation:items", args=[study.public_id])).content.decode()
    assert reverse("annotation:items-csv", args=[study.public_id]) in page


def test_the_pairs_cost_two_queries_however_many_there_are() -> None:
    counts = []
    for n in (2, 40):
        study = make.study(n_pairs=n)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert len(list(role_files.pair_lines(study))) == n + 1
        counts.append(len(queries))
    assert counts == [1, 1]


def test_no_path_is_a_formula_and_is_found_again_all_the_same(study: Study, file: Path, capsys: Any) -> None:
    evil = item(study, "blur/a.png").pair
    type(evil).objects.filter(pk=evil.pk).update(anonymized_path="=cmd.png")
    assert "./=cmd.png" in text_of(downloaded(study))
    file.write_text("anonymized,role,instructed_score\n./=cmd.png,check,4\n")
    give_roles(study, file, capsys)
    assert item(study, "=cmd.png").instructed_score == 4


# And back ---------------------------------------------------------------------------------------------------------


def test_a_file_that_comes_back_as_it_was_changes_nothing(study: Study, file: Path, capsys: Any) -> None:
    for pk, low, high in zip(study.items.values_list("pk", flat=True), (1, 4, 8), (3, 6, 10), strict=False):
        Item.objects.filter(pk=pk).update(role="practice", goal=0, expected_low=low, expected_high=high)
    change_state(study, "open")
    make.leases(make.participation(study))  # what has been given may be named too, as it is
    before = list(study.items.order_by("pk").values())
    file.write_text(text_of(downloaded(study)))
    assert give_roles(study, file, capsys) == "Pairs that have the roles of the file: 4.\n"
    assert list(study.items.order_by("pk").values()) == before
    assert not study.changes.filter(kind="roles").exists()


@pytest.mark.parametrize(
    ("header", "row", "path"),
    [
        ("original,anonymized", "a.png,mask/a.png", "mask/a.png"),
        ("anonymized", "mask/b.png", "mask/b.png"),
        ("anonymized", "./mask/b.png", "mask/b.png"),
        ("original,method", "b.png,blur", "blur/b.png"),
        ("pair,original,anonymized", ",b.png,blur/b.png", "blur/b.png"),
    ],
)
def test_a_pair_is_found_by_its_names_in_the_import(
    study: Study, file: Path, capsys: Any, header: str, row: str, path: str
) -> None:
    file.write_text(f"{header},role,instructed_score\n{row},check,4\n")
    assert give_roles(study, file, capsys) == "Pairs that have the roles of the file: 1.\n"
    assert [each.pair.anonymized_path for each in study.items.exclude(role="main")] == [path]


def test_accents_match_in_composed_and_decomposed_spelling(study: Study, file: Path, capsys: Any) -> None:
    pair = item(study, "blur/a.png").pair
    type(pair).objects.filter(pk=pair.pk).update(anonymized_path="Zo\u00e9.png")
    file.write_text("anonymized,role,instructed_score\nZoe\u0301.png,check,4\n")
    give_roles(study, file, capsys)
    assert item(study, "Zo\u00e9.png").role == "check"


def test_roles_come_in_batches_each_with_its_record(study: Study) -> None:
    change_state(study, "open")
    rows = "".join(f"{pair},check,,,,4\n" for pair in study.items.values_list("pair__number", flat=True)[:3])
    assert role_files.give_roles_from_file(study, StringIO(HEADER + rows), rows_at_once=2) == 3
    assert [len(change.after) for change in study.changes.filter(kind="roles")] == [2, 1]
    assert sorted(roles(study)) == ["check", "check", "check", "main"]


# What is wrong ----------------------------------------------------------------------------------------------------

BAD_ROWS = {
    "999999999,check,2,1,near,\n": "Line 4: the study has no pair '999999999'",
    "x,check,2,,,\n": "Line 4: the study has no pair 'x'",
    ",check,2,,,\n": "Line 4: name the pair: its number, or",
    "{third},check,12,,,\n": "Line 4: expected: Ensure",
    "{third},check,,,,\n": "Line 4: A check needs",
    "{third},rated,,,,\n": "Line 4: role: Select a valid choice",
    '"{third}\n",check,,,,\n': "Line 5: A check needs",
    "{first},check,2,1,,\n": "Line 4: names the same pair as line 2",
}


@pytest.mark.parametrize("batch", [1, 100])
@pytest.mark.parametrize(("bad", "complaint"), BAD_ROWS.items())
def test_one_bad_row_is_named_by_its_line_and_no_role_is_given(
    study: Study, file: Path, bad: str, complaint: str, batch: int, capsys: Any
) -> None:
    first, second, third, _ = study.items.order_by("pk").values_list("pair__number", flat=True)
    good = f"{first},check,2,1,at_most,\n{second},practice,9,1,at_least,\n"
    faulty = StringIO(HEADER + good + bad.format(first=first, third=third))
    with pytest.raises(role_files.BadRoles, match=complaint):
        role_files.give_roles_from_file(study, faulty, rows_at_once=batch)
    assert roles(study) == ["main"] * 4
    file.write_text(HEADER + good)
    assert give_roles(study, file, capsys) == "Pairs that have the roles of the file: 2.\n"
    given = study.items.exclude(role="main").order_by("pk").values_list("role", "expected_low", "expected_high")
    assert list(given) == [("check", 1, 3), ("practice", 8, 10)]


def test_names_that_fit_several_pairs_or_none_say_so(study: Study, file: Path, capsys: Any) -> None:
    for row, complaint in {"a.png": "Line 2: 2 pairs have original 'a.png'", "c.png": "no pair with original"}.items():
        file.write_text(f"original,role,instructed_score\n{row},check,4\n")
        with pytest.raises(CommandError, match=complaint):
            give_roles(study, file, capsys)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("pair\n1\n", "no column role"),
        ("role\nmain\n", "no column pair, and no column original or anonymized"),
        ("", "no column role"),
        ("pair,role\n" + "1" * 200_000, "cannot be read as CSV"),
    ],
)
def test_a_file_of_another_kind_is_refused(study: Study, file: Path, text: str, complaint: str, capsys: Any) -> None:
    file.write_text(text)
    with pytest.raises(CommandError, match=complaint):
        give_roles(study, file, capsys)


def test_a_pair_that_has_been_given_stops_all_before_anything_is_written(study: Study, file: Path, capsys: Any) -> None:
    change_state(study, "open")
    given = make.leases(make.participation(study, n_planned=3))[0].item
    free = study.items.exclude(pk=given.pk).exclude(n_held=1).get()
    file.write_text(HEADER + f"{free.pair.number},check,,,,4\n{given.pair.number},check,,,,4\n")
    with pytest.raises(CommandError, match=r"Line 3: This pair has been given to somebody already.*No pair was given"):
        give_roles(study, file, capsys)
    assert roles(study) == ["main"] * 4


class ReadTwice(StringIO):
    """Between its two readings people begin."""

    def __init__(self, text: str, study: Study) -> None:
        super().__init__(text)
        self.study, self.n_readings = study, 0

    def seek(self, *place: int) -> int:
        self.n_readings += 1
        if self.n_readings == 2:
            make.leases(make.participation(self.study, n_planned=3))  # three of the four
        return super().seek(*place)


def test_a_pair_that_is_given_after_the_check_is_named_with_what_was_done_before(study: Study) -> None:
    change_state(study, "open")
    rows = "".join(f"{pair},check,,,,4\n" for pair in study.items.values_list("pair__number", flat=True))
    with pytest.raises(role_files.BadRoles, match=r"Line \d: This pair .* Of the lines before it [01] are done"):
        role_files.give_roles_from_file(study, ReadTwice(HEADER + rows, study), rows_at_once=1)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize(("first", "delimiter"), [("", ";"), ("sep=;\n", ";"), ("", "\t"), ("", ",")])
def test_a_file_comes_back_however_a_spreadsheet_saved_it(study, file, capsys, encoding, first, delimiter):
    lines = ["Original,Anonymized,role,expected,tolerance,note", "a.png,blur/a.png,check,3,1,für später", ",,,,,"]
    file.write_bytes((first + "\r\n".join(line.replace(",", delimiter) for line in lines)).encode(encoding))
    assert give_roles(study, file, capsys) == "Pairs that have the roles of the file: 1.\n"
    assert item(study, "blur/a.png").role == Item.Role.CHECK


def test_a_row_with_more_cells_than_the_header_changes_no_role(study, file, capsys):
    file.write_text("original,anonymized,role,expected,tolerance\na.png,blur,a.png,check,3,1\n")
    with pytest.raises(CommandError, match="Line 2: it has more cells than the header"):
        give_roles(study, file, capsys)
    assert set(roles(study)) == {Item.Role.MAIN}
