"""The command line calls the same verbs as the pages."""

import csv
import json
import zipfile
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command, find_commands, load_command_class

from annotation.models.people import new_token
from annotation.models.studies import Campaign, Study
from annotation.studies.pairs import PAIRS_AT_ONCE
from annotation.studies.settings import SETTINGS
from datasets.jobs import queue_job
from datasets.models.jobs import Job
from datasets.models.projects import Membership
from datasets.models.releases import Release
from datasets.telling import TellingCommand
from tests import make
from tests.annotation.watching.test_assessment import panel, straight

pytestmark = pytest.mark.django_db


def run(*arguments: str, **options: Any) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out, stderr=StringIO(), **options)
    return out.getvalue()


@pytest.mark.parametrize("app", ["annotation", "datasets", "scoring"])
def test_every_command_tells_a_refusal_in_a_sentence(app: str) -> None:
    names = find_commands(str(Path(apps.get_app_config(app).path, "management")))
    assert names
    for name in names:
        assert isinstance(load_command_class(app, name), TellingCommand), name


def manifest(folder: Path, n: int = 3) -> Path:
    rows = [["original", "anonymized"]]
    for i in range(n):
        for side in ("original", "anonymized"):
            (folder / f"{side}{i}.png").write_bytes(make.picture_bytes())
        rows.append([f"original{i}.png", f"anonymized{i}.png"])
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder / "manifest.csv"


def test_the_whole_way_by_command_line(tmp_path: Path) -> None:
    make.user("ann")
    run("create_project", "faces", "--member", "ann:researcher")
    run("import_pairs", str(manifest(tmp_path)), "--root", str(tmp_path), "--project", "faces")
    run("create_study", "Faces", "--project", "faces", "--campaign", "Autumn", "--mode", "HA2", "--goal", "1")
    run("study", "faces/autumn/HA2", "--open")
    study = Study.objects.get()
    make.rate_all(make.participation(study))
    assert "3 of 3 ratings" in run("study", "faces/autumn/ha2")
    assert "faces/autumn-ha2/1: 3 labels" in run("freeze_study", "faces/autumn/HA2")
    assert "faces/autumn-ha2/2: 3 labels" in run("freeze_study", "faces/autumn/HA2", "--file-names")
    assert [release.names_files for release in Release.objects.order_by("version")] == [False, True]
    run("export_release", "faces/autumn-ha2/1", "--to", str(tmp_path))
    with zipfile.ZipFile(tmp_path / "autumn-ha2-v1.zip") as archive:
        assert archive.testzip() is None
        assert "labels.csv" in archive.namelist()


def test_a_project_is_closed_and_opened_again_by_command() -> None:
    study = make.study(make.project(slug="faces"), n_pairs=2)
    assert "is closed" in run("close_project", "faces")
    study.refresh_from_db()
    assert study.state == Study.State.CLOSED
    with pytest.raises(CommandError, match="This project is closed"):
        run("study", f"faces/{study.campaign.slug}/HA2", "--open")
    assert "is open again" in run("close_project", "faces", "--reopen")


def test_a_members_role_can_be_changed_and_the_member_removed() -> None:
    ann = make.user("ann")
    run("create_project", "faces", "--member", "ann:annotator")
    run("create_project", "faces", "--member", "ann:researcher")
    assert Membership.objects.get(user=ann).role == "researcher"
    run("create_project", "faces", "--remove-member", "ann")
    assert not Membership.objects.exists()
    with pytest.raises(CommandError, match="'ann' is no member of faces"):
        run("create_project", "faces", "--remove-member", "ann")


def test_a_sources_licence_citation_and_legal_basis_are_told_and_kept_until_told_otherwise() -> None:
    make.pair(make.project(slug="faces"))
    assert run("source", "faces", "test") == "licence: -\ncitation: -\nlegal basis: -\n"
    run("source", "faces", "test", "--licence", "CC BY 4.0", "--legal-basis", "consent")
    assert run("source", "faces", "test", "--citation", "Ann, 2026").startswith("licence: CC BY 4.0\n")
    assert run("source", "faces", "test") == "licence: CC BY 4.0\ncitation: Ann, 2026\nlegal basis: consent\n"
    assert run("source", "faces", "test", "--licence", "").startswith("licence: -\n")


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("create_project", "no spaces"), "may hold letters"),
        (("create_project", "x" * 61), "at most 60 characters"),
        (("create_project", "faces", "--name", "x" * 121), "the name at most 120"),
        (("create_project", "faces", "--member", "nobody:researcher"), "no user 'nobody'"),
        (("create_project", "faces", "--member", "ann:king"), "must be one of"),
        (("import_pairs", "nowhere.csv", "--project", "faces"), "no file nowhere.csv"),
        (("study", "nowhere/x/HA1"), "no project 'nowhere'"),
        (("freeze_study", "here/x/HA1"), "no study 'here/x/HA1'. Studies of here: here/c/HA2"),
        (("freeze_study", "here/c/HA2"), "no ratings yet"),
        (("export_release", "here/nothing"), "Releases of here: none yet"),
        (("study", "here/c/HA2", "--pause"), "it cannot become"),
        (("export_release", "here/nothing/²"), "Releases of here: none yet"),
        (("jobs", "--cancel", "abc"), "No job begins with 'abc'"),
        (("jobs", "--cancel", ""), "No job begins with ''"),
        (("jobs", "--retry", "no-uuid-" * 5), "No job begins with 'no-uuid"),
        (("create_study", "X", "--project", "here", "--campaign", "c", "--mode", "HA2"), "already has an HA2 study"),
        (
            ("create_study", "X", "--project", "here", "--campaign", "d", "--mode", "HA1", "--goal", "0"),
            "--goal: .*equal to 1",
        ),
        (
            ("create_study", "X", "--project", "here", "--campaign", "d", "--mode", "HA1", "--only", "a", "b", "c"),
            "no pairs of source 'a'",
        ),
        (("create_study", "x" * 121, "--project", "here", "--campaign", "d", "--mode", "HA1"), "at most 120 char"),
        (("create_study", "X", "--project", "here", "--campaign", "d" * 61, "--mode", "HA1"), "at most 60 char"),
        (("create_study", " ", "--project", "here", "--campaign", "d", "--mode", "HA1"), "name: This field is req"),
        (("study", "here/c/HA1", "--delete"), "no study 'here/c/HA1'"),
        (("quality", "here/c/HA2", "--use", "no", "--person", "A-nobody", "--reason", "x"), "Name somebody"),
        (("quality", "here/c/HA2", "--preregistration", "nowhere.json"), "cannot be read as JSON"),
        (("give_roles", "here/c/HA2", "nowhere.csv"), "cannot be read as CSV"),
        (("source", "here", "nothing"), "no source 'nothing'. Sources of here: test"),
        (("source", "here", "test", "--licence", "x" * 121), "licence: Ensure this value has at most 120"),
        (("source", "here", "test", "--citation", "\x00"), "citation: Null characters"),
        (("source", "here", "test", "--citation", "\udcff"), "Halves of characters"),
    ],
)
def test_a_bad_command_says_what_to_do_and_changes_nothing(command: tuple[str, ...], says: str) -> None:
    here = make.project(slug="here")
    make.study(here, campaign=here.campaigns.create(slug="c", name="C"), is_open=False)
    make.user("ann")
    with pytest.raises(CommandError, match=says.replace("(", r"\(")):
        run(*command)
    assert not Job.objects.exists()
    assert not Release.objects.exists()


def test_a_zip_is_not_made_for_a_folder_that_is_not_there(tmp_path: Path) -> None:
    release = make.release(make.rated_study())
    command = ("export_release", f"{release.project.slug}/{release.slug}", "--to")
    with pytest.raises(CommandError, match=f"There is no folder {tmp_path}/nowhere"):
        run(*command, str(tmp_path / "nowhere" / "faces.zip"))
    assert not Job.objects.filter(kind="export_release").exists()
    run(*command, str(tmp_path))
    with pytest.raises(CommandError, match="cannot be written"):
        run(*command, "/dev/full")


def test_a_job_is_found_by_its_id_with_or_without_dashes() -> None:
    job = queue_job("import_pairs", make.project(), archive="/nowhere.zip")
    with pytest.raises(CommandError, match="No job begins with ''"):
        run("jobs", "--cancel", "")
    run("jobs", "--cancel", job.public_id.hex)
    job.refresh_from_db()
    assert job.state == Job.State.CANCELLED


def test_a_failed_import_names_the_row_and_keeps_nothing(tmp_path: Path) -> None:
    project = make.project(slug="faces")
    path = manifest(tmp_path)
    (tmp_path / "anonymized1.png").unlink()
    with pytest.raises(CommandError, match=r"line 3: anonymized1\.png cannot be read"):
        run("import_pairs", str(path), "--project", "faces")
    assert not project.pairs.exists()


def test_wording_comes_from_a_file_and_bad_wording_is_refused(tmp_path: Path) -> None:
    project = make.project(slug="faces")
    make.pairs(project, 1)
    words = tmp_path / "words.json"
    command = ("create_study", "F", "--project", "faces", "--campaign", "c", "--mode", "HA1", "--wording", str(words))
    words.write_text(json.dumps({"questoin": "?"}))
    with pytest.raises(CommandError, match="its keys may be question"):
        run(*command)
    assert not Study.objects.exists()
    for low_label, says in (
        ("x" * 61, "at most 60 characters"),
        (" ", "This field is required"),
        ("\0", "Null characters"),
        ("\ud800", "Halves of characters"),
    ):
        words.write_text(json.dumps({"low_label": low_label}))
        with pytest.raises(CommandError, match=f"words.json: 'low_label': .*{says}"):
            run(*command)
    words.write_text("[" * 100_000)
    with pytest.raises(CommandError, match="cannot be read as JSON"):
        run(*command)
    words.write_text(json.dumps({"question": "Who is this?"}))
    run(*command)
    assert Study.objects.get().texts.get(kind="question").body == "Who is this?"


def test_a_study_over_some_kinds_of_pairs_is_set_up_reworded_and_its_ratings_printed(tmp_path: Path) -> None:
    project = make.project(slug="faces")
    make.pair(project, method="mask")
    make.pair(project, method="blur")
    only = ("--only", "test", "global", "mask", "--lease-seconds", "120")
    run("create_study", "F", "--project", "faces", "--campaign", "c", "--mode", "HA1", *only)
    study = Study.objects.get()
    assert ([item.pair.method for item in study.items.all()], study.lease_seconds) == (["mask"], 120)
    run("study", "faces/c/HA1", "--open")
    (tmp_path / "words.json").write_text(json.dumps({"question": "Who is this?"}))
    run("study", "faces/c/HA1", "--wording", str(tmp_path / "words.json"))
    assert study.texts.filter(kind="question").latest("version").body == "Who is this?"
    make.rate_all(make.participation(study), score=7)
    [row] = csv.DictReader(StringIO(run("study", "faces/c/HA1", "--ratings")))
    assert row["score"] == "7"


FACES = ("create_study", "F", "--project", "faces", "--campaign", "c", "--mode", "HA2")


def test_every_setting_of_the_page_can_be_given_by_command() -> None:
    make.pairs(make.project(slug="faces"), 1)
    run(*FACES, "--goal", "4", "--session-size", "40", "--seconds-per-pair", "20", "--lease-seconds", "120",
        "--warm-up", "4", "--repeats", "10", "--side", "balanced", "--spacing", "9",
        "--limit", "60", "--repeat-distance", "7", "--adaptive-stop",
        "--min-ratings", "4", "--max-ratings", "9", "--half-width", "0.5", "--model-order", "--core", "30",
        "--practice", "2", "--checks", "3", "--language", "de", "--no-swipe", "--no-flicker",
        "--confirm-on-press", "--ask-who", "--ask-cues", "--completion-code", "C0DE",
        "--completion-url", "https://panel.example/done", "--pay-per-hour", "12.50",
        "--pay-currency", "EUR")  # fmt: skip
    wanted = {"language": "de", "goal": 4, "session_size": 40, "seconds_per_pair": 20, "lease_seconds": 120,
              "side": "balanced", "spacing": 9, "person_limit": 60, "repeat_distance": 7, "stops_adaptively": True,
              "min_ratings": 4, "max_ratings": 9, "half_width": 0.5, "is_ordered_by_model": True, "core_percent": 30,
              "n_practice": 2, "n_checks": 3, "n_warm_up": 4, "repeat_percent": 10,
              "allows_swipe": False, "allows_flicker": False, "confirms_on_press": True, "asks_who": True,
              "asks_cues": True, "pay_per_hour": Decimal("12.50"), "pay_currency": "EUR",
              "completion_code": "C0DE", "completion_url": "https://panel.example/done"}  # fmt: skip
    assert Study.objects.values(*wanted).get() == wanted
    assert {*wanted} == {*SETTINGS} - {"name", "mode"}
    assert [name for name, said in wanted.items() if said == SETTINGS[name].get_default()] == []


def test_without_options_a_study_has_no_rule_that_biases_figures() -> None:
    make.pairs(make.project(slug="faces"), 1)
    run(*FACES)
    study = Study.objects.get()
    assert (study.stops_adaptively, study.is_ordered_by_model, study.person_limit) == (False, False, None)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--limit", "29"), "--limit: A person who may see 29 pairs cannot finish a session of 30"),
        (("--warm-up", "20"), "--session-size: Of 30 pairs .* leave 9 that count; at least half must"),
        (("--repeats", "51"), "--repeats: Ensure this value is less than or equal to 50"),
        (("--practice", "-1"), "--practice: Ensure this value is greater than or equal to 0"),
        (("--min-ratings", "9", "--max-ratings", "8"), "--max-ratings: This must be at least the fewest"),
        (("--half-width", "0"), "--half-width: Ensure this value is greater"),
        (("--core", "101"), "--core: Ensure this value is less than or equal to 100"),
        (("--spacing", "-1"), "--spacing: Ensure"),
        (("--lease-seconds", "59"), "--lease-seconds: Ensure this value is greater than or equal to 60"),
        (("--side", "above"), "invalid choice: 'above'"),
    ],
)
def test_settings_that_do_not_fit_are_refused_by_their_option(options: tuple[str, ...], says: str) -> None:
    make.pairs(make.project(slug="faces"), 1)
    with pytest.raises(CommandError, match=says):
        run(*FACES, *options)
    assert not Study.objects.exists()
    assert not Campaign.objects.exists()


def test_a_large_study_is_filled_by_the_command_itself() -> None:
    project, many = make.project(slug="faces"), PAIRS_AT_ONCE + 1
    make.many_pairs(project, many)
    assert f"faces/c/HA2 is a draft with {many} pairs" in run(*FACES)
    make.many_pairs(project, many)
    assert f"holds {2 * many} pairs now" in run("study", "faces/c/HA2", "--add-pairs")
    assert set(Job.objects.values_list("kind", "state")) == {("fill_study", "done")}


def test_jobs_are_listed_cancelled_and_tried_again() -> None:
    job = queue_job("import_pairs", make.project(), archive="/nowhere.zip")
    assert str(job.public_id) in run("jobs")
    run("jobs", "--cancel", str(job.public_id)[:8])
    job.refresh_from_db()
    assert job.state == Job.State.CANCELLED
    run("jobs", "--retry", str(job.public_id))
    job.refresh_from_db()
    assert job.state == Job.State.QUEUED
    with pytest.raises(CommandError, match="only a failed or cancelled job"):
        run("jobs", "--retry", str(job.public_id))


def test_a_job_that_has_ended_is_not_cancelled_by_command() -> None:
    job = queue_job("import_pairs", make.project(), archive="/nowhere.zip")
    run("jobs", "--cancel", str(job.public_id))
    with pytest.raises(CommandError, match="is Cancelled already; there is nothing to cancel"):
        run("jobs", "--cancel", str(job.public_id))


def test_both_studies_of_a_campaign_in_any_alphabet_are_set_up_by_command() -> None:
    project = make.project(slug="faces")
    make.pairs(project, 1)
    for mode in ("HA1", "HA2"):
        run("create_study", "X", "--project", "faces", "--campaign", "研究", "--mode", mode)
    assert project.campaigns.get().slug == "campaign-1"
    assert "draft" in run("study", "faces/campaign-1/HA2").lower()


def test_pairs_are_added_and_a_draft_is_deleted_by_command() -> None:
    project = make.project(slug="p")
    make.study(project, n_pairs=2, campaign=project.campaigns.create(slug="c", name="C"), is_open=False)
    make.pairs(project, 3)
    make.pair(project, original=None)
    assert "3 pairs were added" in run("study", "p/c/HA2", "--add-pairs")
    run("study", "p/c/HA2", "--delete")
    assert not Study.objects.exists()


def test_no_invitation_looks_like_an_option_to_the_command_that_revokes_it() -> None:
    assert not any(new_token().startswith("-") for _ in range(2000))


def test_an_invitation_made_by_command_opens_the_study_until_it_is_revoked(client: Any) -> None:
    project = make.project(slug="p")
    make.study(project, campaign=project.campaigns.create(slug="c", name="C"))
    address = run("study", "p/c/HA2", "--invite", "many").strip()
    assert "I agree" in client.get(address).content.decode()
    run("study", "p/c/HA2", "--revoke", address.split("/")[-2])
    assert "no longer valid" in client.get(address).content.decode()


def test_flags_are_shown_and_decided_by_command() -> None:
    study = panel()
    odd = straight(study)
    name, person = f"{study.project.slug}/{study.campaign.slug}/HA2", odd.annotator.pseudonym
    assert f"{person}: the same score again and again. The same score 40 times" in run("quality", name, "--check")
    with pytest.raises(CommandError, match="Say why with --reason"):
        run("quality", name, "--person", person, "--use", "no")
    run("quality", name, "--person", person, "--use", "no", "--reason", "five throughout")
    assert "No flag waits" in run("quality", name)
    with pytest.raises(CommandError, match="decided already"):
        run("quality", name, "--person", person, "--use", "no", "--reason", "again")
    run("quality", name, "--person", person, "--use", "yes", "--reason", "a test of the keyboard")
    assert [(each.kind, each.verdict) for each in odd.decisions.all()] == [("use", False), ("use", True)]


def test_a_preregistration_comes_from_a_file_and_a_bad_one_is_refused(tmp_path: Path) -> None:
    study = make.study(is_open=False)
    name, file = f"{study.project.slug}/{study.campaign.slug}/HA2", tmp_path / "preregistration.json"
    for said, complaint in (
        ('{"failed": 2}', "may hold correlation_below"),
        ("[]", "JSON object"),
        ("{", "as JSON"),
        ("[" * 99_999, "as JSON"),
        ('{"headline": [[]]}', "of texts and"),
    ):
        file.write_text(said)
        with pytest.raises(CommandError, match=complaint):
            run("quality", name, "--preregistration", str(file))
    file.write_text('{"failed_checks": 2}')
    assert run("quality", name, "--preregistration", str(file)) == "The preregistration is saved.\n"
    run("study", name, "--open")
    file.write_text("{}")
    with pytest.raises(CommandError, match="reason: This field is required"):
        run("quality", name, "--preregistration", str(file))
    run("quality", name, "--preregistration", str(file), "--reason", "too strict")
    assert study.changes.get(kind="plan").reason == "too strict"
