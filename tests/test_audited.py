"""What is done on the site's pages, in its admin and by its commands stands in the audit log: one entry each, with who,
from which role, on what; and nothing of what people who rate wrote or hold."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from annotation.models.people import Participation
from annotation.models.studies import Study
from annotation.studies.wording import current_texts
from datasets import jobs
from datasets.jobs import queue_job
from datasets.members import invite
from datasets.models.audit import Actor, AuditEntry, What
from datasets.models.jobs import Job
from datasets.models.projects import Project, Role
from datasets.models.releases import Release
from scoring.models import Checkpoint, TrainingRun
from tests import make
from tests.scoring import trained

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]


def a_picture(site: "Site") -> int:
    return int(site.project.pairs.earliest("pk").anonymized_id)


@dataclass
class Site:
    """A project with a study that people rated in, a release and a model; and browsers of those who run it."""

    study: Study
    release: Release
    run: TrainingRun
    researcher: User
    root: User
    media: Path

    @property
    def project(self) -> Project:
        return self.study.project

    def post(self, page: str, /, *arguments: Any, by: str = "researcher", **data: Any) -> Any:
        return self._browser(by).post(reverse(page, args=arguments), data)

    def get(self, name: str, *arguments: Any, by: str = "researcher") -> Any:
        reply = self._browser(by).get(reverse(name, args=arguments))
        return b"".join(reply) if reply.streaming else reply

    def _browser(self, by: str) -> Client:
        browser = Client()
        browser.force_login(getattr(self, by))
        return browser

    def admin(self, page: str, /, *arguments: Any, **data: Any) -> Any:
        return self.post(f"admin:{page}", *arguments, by="root", **data)

    def chosen(self, model: str, action: str, row: Model, **data: Any) -> Any:
        return self.admin(f"{model}_changelist", action=action, _selected_action=[row.pk], **data)


@pytest.fixture
def site(tmp_path: Path, settings: Any) -> Site:
    settings.MEDIA_ROOT = tmp_path / "media"
    study = make.rated_study(n_pairs=12, n_people=2, session_size=12, goal=3)
    release = make.release(study)
    run = trained.run(release)
    researcher, root = make.member(study.project), make.user("root", is_staff=True, is_superuser=True)
    return Site(study, release, run, researcher, root, tmp_path)


def run(*arguments: str) -> None:
    call_command(*arguments, stdout=StringIO(), stderr=StringIO())


def person(site: Site) -> Participation:
    return site.study.participations.order_by("pk")[0]


def of_release(site: Site) -> tuple[str, str, int]:
    return site.project.slug, site.release.slug, site.release.version


def draft(site: Site) -> Study:
    return make.study(site.project, n_pairs=0, is_open=False)


def named(study: Study) -> str:
    return f"{study.project.slug}/{study.campaign.slug}/{study.mode}"


def make_project_form(site: Site, **changes: Any) -> dict[str, Any]:
    mine = site.project.memberships.get(user=site.researcher)
    return {
        "name": site.project.name,
        "slug": site.project.slug,
        "memberships-TOTAL_FORMS": 1,
        "memberships-INITIAL_FORMS": 1,
        "memberships-0-id": mine.pk,
        "memberships-0-project": site.project.pk,
        "memberships-0-user": site.researcher.pk,
        "memberships-0-role": mine.role,
    } | changes


def user_form(user: User, **changes: Any) -> dict[str, Any]:
    day, time = f"{user.date_joined:%Y-%m-%d}", f"{user.date_joined:%H:%M:%S}"
    joined = {f"{before}date_joined_{n}": part for before in ("", "initial-") for n, part in enumerate((day, time))}
    return {"username": user.username, "is_active": "on", **joined} | changes


def train(site: Site) -> Job:
    return trained.queued_run(site.release).job


def invited(site: Site) -> int:
    return invite(site.project, role="annotator", by=site.root).pk


def archive(site: Site) -> None:
    make.archive(site.release)
    site.get("datasets:download", *of_release(site))


def reword(site: Site) -> None:
    texts = {kind: text.body for kind, text in current_texts(site.study).items()}
    site.post("annotation:wording", site.study.public_id, **texts | {"question": "Who is it?"})


def freeze(site: Site) -> None:
    site.post("annotation:freeze", site.study.public_id, confirmed="on")
    make.done(Job.objects.get(kind="freeze_study", created_by=site.researcher))


def decide_on_pay(site: Site) -> None:
    site.post("annotation:decide", site.study.public_id, person(site).public_id, decision="pay-no", reason="R")


def erase_oneself(site: Site) -> None:
    mine = person(site)
    make.browser(mine).post(reverse("annotation:erase", args=[mine.public_id]), {"confirm": "on"})


def erase_by_code(site: Site) -> None:
    Client().post(reverse("annotation:withdrawal"), {"code": make.code(person(site)), "confirm": "on"})


@dataclass
class Case:
    what: What
    do: Callable[[Site], Any]
    role: Actor = Actor.RESEARCHER
    on: str = "study"  # the kind of the object
    before: Any = None
    after: Any = None


STATE, OPEN, CLOSED = "annotation:state", {"state": "open"}, {"state": "closed"}

ON_PAGES = {
    "a study is opened": Case(
        What.STUDY_OPENED,
        lambda site: site.post(STATE, (new := draft(site)).public_id, state="open", typed=new.short_name),
        before={"state": "draft"},
        after=OPEN,
    ),
    "a study is paused": Case(
        What.STUDY_PAUSED,
        lambda site: site.post(STATE, site.study.public_id, state="paused"),
        before=OPEN,
        after={"state": "paused"},
    ),
    "a study is closed": Case(
        What.STUDY_CLOSED,
        lambda site: site.post(STATE, site.study.public_id, state="closed"),
        before=OPEN,
        after=CLOSED,
    ),
    "a goal is changed": Case(
        What.STUDY_CHANGED,
        lambda site: site.post("annotation:goal", site.study.public_id, goal=4, reason="More."),
        before={"goal": 3},
        after={"goal": 4},
    ),
    "a completion code is changed": Case(
        What.STUDY_CHANGED,
        lambda site: site.post("annotation:completion", site.study.public_id, completion_code="C0DE", reason="New."),
        before={"last page changed": ["completion_code"]},
        after={"last page changed": ["completion_code"]},
    ),
    "a link is made": Case(
        What.STUDY_CHANGED,
        lambda site: site.post("annotation:invite", site.study.public_id, kind="many"),
        after={"link made": "many"},
    ),
    "a link is taken back": Case(
        What.STUDY_CHANGED,
        lambda site: site.post("annotation:revoke", site.study.public_id, make.invitation(site.study).pk),
        after={"link taken back": "many"},
    ),
    "a study is reworded": Case(
        What.STUDY_CHANGED,
        reword,
        after={"texts": ["question"], "language": "en"},
    ),
    "pairs are added": Case(
        What.STUDY_CHANGED,
        lambda site: (make.pairs(site.project, 3), site.post("annotation:more-pairs", site.study.public_id)),
        before={"pairs added": 12},
        after={"pairs added": "more"},
    ),
    "a pair is taken out": Case(
        What.STUDY_CHANGED,
        lambda site: site.post("annotation:withdraw", site.study.public_id, site.study.items.all()[0].pk, reason="R"),
    ),
    "a study is deleted": Case(
        What.STUDY_DELETED,
        lambda site: site.post("annotation:delete-study", (new := draft(site)).public_id, typed=new.short_name),
        before={"pairs": 12},
    ),
    "somebody is not paid": Case(
        What.DECIDED,
        lambda site: site.post(
            "annotation:decide", site.study.public_id, person(site).public_id, decision="pay-no", reason="R"
        ),
    ),
    "flags are settled": Case(
        What.DECIDED,
        lambda site: site.post("annotation:settle", site.study.public_id, person(site).public_id, reason="R"),
        after={"flags": []},
    ),
    "a release is frozen": Case(
        What.FROZEN,
        freeze,
        on="release",
    ),
    "a release is retracted": Case(
        What.RETRACTED,
        lambda site: site.post("datasets:retract", *of_release(site), name=f"{site.release.slug}-v1", reason="Wrong."),
        on="release",
    ),
    "a release is downloaded": Case(What.DOWNLOADED, archive, on="release"),
    "a key is downloaded": Case(
        What.KEY_DOWNLOADED, lambda site: site.get("datasets:release-key", *of_release(site)), on="release"
    ),
    "predictions are downloaded": Case(
        What.DOWNLOADED,
        lambda site: site.get("scoring:predictions", site.run.public_id),
        on="training run",
        after={"table": "predictions"},
    ),
    "an original is looked at": Case(
        What.ORIGINALS_SEEN,
        lambda site: site.get("datasets:picture", site.project.slug, site.project.pairs.all()[0].original_id),
        on="",
    ),
    **{
        f"{table} are downloaded": Case(
            What.DOWNLOADED,
            lambda site, page=page: site.get(f"annotation:{page}", site.study.public_id),
            after={"table": table},
        )
        for page, table in {"ratings": "ratings", "remarks": "remarks", "cues": "cues", "items-csv": "pairs"}.items()
    },
    "a licence is changed": Case(
        What.SETTINGS_CHANGED,
        lambda site: site.post("datasets:sources", site.project.slug, **source_forms(site)),
        on="source",
        before={"licence": "(changed)"},
        after={"licence": "(changed)"},
    ),
    "a person erases themselves": Case(
        What.ERASED,
        erase_oneself,
        role=Actor.ANNOTATOR,
    ),
    "a person erases themselves by their code": Case(
        What.ERASED,
        erase_by_code,
        role=Actor.ANNOTATOR,
    ),
}


def source_forms(site: Site) -> dict[str, Any]:
    source = site.project.sources.get()
    return {"form-TOTAL_FORMS": 1, "form-INITIAL_FORMS": 1, "form-0-id": source.pk, "form-0-licence": "CC BY 4.0"}


BY_A_SUPERUSER = {
    "a picture is removed": Case(
        What.PICTURE_REMOVED,
        lambda site: site.post(
            "datasets:picture-remove", site.project.slug, a_picture(site), by="root", typed=str(a_picture(site))
        ),
        on="removal",
    ),
    "a person is erased": Case(
        What.ERASED,
        lambda site: site.chosen("annotation_participation", "erase", person(site), typed=site.study.short_name),
    ),
    "a training is started": Case(
        What.TRAINING_STARTED, lambda site: site.post("scoring:again", site.run.public_id, by="root"), on="job"
    ),
    "a training is cancelled": Case(
        What.TRAINING_CANCELLED,
        lambda site: site.post("scoring:cancel", TrainingRun.objects.get(job=train(site)).public_id, by="root"),
        on="job",
    ),
    "a training is cancelled in the list of jobs": Case(
        What.TRAINING_CANCELLED, lambda site: site.chosen("datasets_job", "cancel", train(site)), on="job"
    ),
    "a checkpoint is put in use": Case(
        What.CHECKPOINT_USED,
        lambda site: site.post("scoring:use", site.run.public_id, by="root"),
        on="checkpoint",
        before={"sha256": None},
    ),
    "a checkpoint is put in use from the list": Case(
        What.CHECKPOINT_USED,
        lambda site: site.chosen("scoring_checkpoint", "use", Checkpoint.objects.get()),
        on="checkpoint",
    ),
    "a project is closed": Case(
        What.PROJECT_CLOSED,
        lambda site: site.post("annotation:close-project", site.project.slug, by="root", typed=site.project.slug),
        on="project",
    ),
    "a project is opened again": Case(
        What.PROJECT_REOPENED,
        lambda site: (
            run("close_project", site.project.slug),
            site.post("annotation:reopen-project", site.project.slug, by="root", typed=site.project.slug),
        ),
        on="project",
    ),
    "a checkpoint is taken out of use": Case(
        What.CHECKPOINT_RESTED,
        lambda site: (
            Checkpoint.objects.update(in_use=True),
            site.post("scoring:out-of-use", site.run.public_id, by="root"),
        ),
        on="checkpoint",
    ),
    "somebody is invited": Case(
        What.INVITED,
        lambda site: site.post("annotation:member-invite", site.project.slug, by="root", role="admin"),
        on="",
        after={"role": "admin"},
    ),
    "an invitation is withdrawn": Case(
        What.INVITATION_WITHDRAWN,
        lambda site: site.post("annotation:member-withdraw", site.project.slug, invited(site), by="root"),
        on="",
        before={"role": "annotator"},
    ),
    "a project is renamed on its page of settings": Case(
        What.SETTINGS_CHANGED,
        lambda site: site.post("annotation:project-settings", site.project.slug, by="root", name="Other"),
        on="project",
        after={"name": "Other"},
    ),
    "a role is given on the page of members": Case(
        What.ROLE_GIVEN,
        lambda site: site.post(
            "annotation:member-role", site.project.slug, site.researcher.memberships.get().pk, by="root", role="admin"
        ),
        on="user",
        after={"role": "admin"},
    ),
    "somebody is taken out on the page of members": Case(
        What.ROLE_TAKEN,
        lambda site: site.post(
            "annotation:member-out", site.project.slug, site.researcher.memberships.get().pk, by="root"
        ),
        on="user",
    ),
    "a run is deleted": Case(
        What.RUN_DELETED,
        lambda site: site.post("scoring:delete", site.run.public_id, by="root", typed=str(site.run.public_id)[:8]),
        on="training run",
    ),
    "a role is changed": Case(
        What.ROLE_GIVEN,
        lambda site: site.admin(
            "datasets_project_change", site.project.pk, **make_project_form(site, **{"memberships-0-role": "admin"})
        ),
        on="user",
        before={"role": "researcher"},
        after={"role": "admin"},
    ),
    "a role is taken": Case(
        What.ROLE_TAKEN,
        lambda site: site.admin(
            "datasets_project_change", site.project.pk, **make_project_form(site, **{"memberships-0-DELETE": "on"})
        ),
        on="user",
        before={"role": "researcher"},
        after={"role": None},
    ),
    "a project is renamed": Case(
        What.SETTINGS_CHANGED,
        lambda site: site.admin("datasets_project_change", site.project.pk, **make_project_form(site, name="Another")),
        on="project",
        after={"name": "Another"},
    ),
}
OF_THE_SITE = {
    "somebody becomes staff": Case(
        What.USER_CHANGED,
        lambda site: site.admin("auth_user_change", site.researcher.pk, **user_form(site.researcher, is_staff="on")),
        on="user",
        before={"is_staff": False},
        after={"is_staff": True},
    ),
    "somebody's address is changed": Case(
        What.USER_CHANGED,
        lambda site: site.admin("auth_user_change", site.researcher.pk, **user_form(site.researcher, email="a@b.org")),
        on="user",
        before={"email": "(changed)"},
        after={"email": "(changed)"},
    ),
    "a user is made": Case(
        What.USER_CHANGED,
        lambda site: site.admin(
            "auth_user_add", username="new", usable_password="true", password1="a-Good-pass7", password2="a-Good-pass7"
        ),
        on="user",
    ),
    "a password is set": Case(
        What.USER_CHANGED,
        lambda site: site.admin(
            "auth_user_password_change",
            site.researcher.pk,
            usable_password="true",
            password1="a-Good-pass7",
            password2="a-Good-pass7",
            **{"set-password": ""},
        ),
        on="user",
        after={"password": "(changed)"},
    ),
    "a user is deleted": Case(
        What.USER_CHANGED,
        lambda site: site.admin("auth_user_delete", make.user("gone").pk, post="yes"),
        on="user",
        after={"deleted": True},
    ),
    "users are deleted in the list": Case(
        What.USER_CHANGED,
        lambda site: site.chosen("auth_user", "delete_selected", make.user("gone"), post="yes"),
        on="user",
        after={"deleted": True},
    ),
    "a group is made": Case(
        What.SETTINGS_CHANGED,
        lambda site: site.admin("auth_group_add", name="helpers"),
        on="group",
        after={"name": "helpers"},
    ),
}


BY_COMMANDS = {
    "a study is closed": Case(What.STUDY_CLOSED, lambda site: run("study", named(site.study), "--close")),
    "ratings are printed": Case(
        What.DOWNLOADED, lambda site: run("study", named(site.study), "--ratings"), after={"table": "ratings"}
    ),
    "a project is closed": Case(
        What.PROJECT_CLOSED, lambda site: run("close_project", site.project.slug), on="project"
    ),
    "a project is opened again": Case(
        What.PROJECT_REOPENED,
        lambda site: (run("close_project", site.project.slug), run("close_project", site.project.slug, "--reopen")),
        on="project",
    ),
    "a person is erased": Case(
        What.ERASED, lambda site: run("erase_participation", named(site.study), person(site).annotator.pseudonym)
    ),
    "a person is looked up in releases": Case(
        What.NAMES_SEEN, lambda site: run("names_in_releases", named(site.study), person(site).annotator.pseudonym)
    ),
    "a release is frozen": Case(What.FROZEN, lambda site: run("freeze_study", named(site.study)), on="release"),
    "a release is exported": Case(
        What.DOWNLOADED, lambda site: run("export_release", f"{site.project.slug}/{site.release.slug}"), on="release"
    ),
    "a training is started": Case(
        What.TRAINING_STARTED,
        lambda site: run("train_release", f"{site.project.slug}/{site.release.slug}", "--queue"),
        on="job",
    ),
    "a training is cancelled": Case(
        What.TRAINING_CANCELLED, lambda site: run("jobs", "--cancel", str(train(site).public_id)), on="job"
    ),
    "a checkpoint is put in use": Case(
        What.CHECKPOINT_USED, lambda site: run("use_checkpoint", str(site.run.public_id)), on="checkpoint"
    ),
    "a role is given": Case(
        What.ROLE_GIVEN,
        lambda site: run("create_project", site.project.slug, "--member", f"{site.root}:admin"),
        on="user",
        before={"role": None},
        after={"role": "admin"},
    ),
    "a role is taken": Case(
        What.ROLE_TAKEN,
        lambda site: run("create_project", site.project.slug, "--remove-member", str(site.researcher)),
        on="user",
    ),
}
OF_THE_SITE_BY_COMMANDS = {
    "tries are forgotten": Case(What.UNLOCKED, lambda site: run("unlock"), on=""),
    "a key is adopted": Case(
        What.ADOPTED, lambda site: run("adopt", "SECRET_KEY"), on="", after={"adopted": "SECRET_KEY"}
    ),
}


def check(site: Site, case: Case, *, role: Actor, user: User | None, project: Project | None) -> None:
    before = set(AuditEntry.objects.values_list("pk", flat=True))
    case.do(site)
    [entry] = AuditEntry.objects.exclude(pk__in=before).filter(what=case.what, role=role)
    assert (entry.user_number, entry.user_name) == ((user.pk, user.username) if user else (None, ""))
    assert entry.kind == case.on
    assert bool(entry.object_name and entry.object_id) == bool(case.on)
    assert entry.project_number == (project.pk if project else None)
    if case.before is not None:
        assert entry.before == case.before
    if case.after is not None:
        assert entry.after == case.after


@pytest.mark.rarely
@pytest.mark.parametrize("name", ON_PAGES)
def test_what_is_done_on_pages_leaves_one_entry(site: Site, name: str) -> None:
    case = ON_PAGES[name]
    user = site.researcher if case.role == Actor.RESEARCHER else None
    check(site, case, role=case.role, user=user, project=site.project)


@pytest.mark.rarely
@pytest.mark.parametrize("name", BY_A_SUPERUSER)
def test_what_a_superuser_does_leaves_one_entry(site: Site, name: str) -> None:
    check(site, BY_A_SUPERUSER[name], role=Actor.SUPERUSER, user=site.root, project=site.project)


@pytest.mark.rarely
@pytest.mark.parametrize("name", OF_THE_SITE)
def test_what_is_done_to_users_and_groups_leaves_one_entry(site: Site, name: str) -> None:
    check(site, OF_THE_SITE[name], role=Actor.SUPERUSER, user=site.root, project=None)


@pytest.mark.rarely
@pytest.mark.parametrize("name", BY_COMMANDS)
def test_what_commands_do_leaves_one_entry(site: Site, name: str) -> None:
    check(site, BY_COMMANDS[name], role=Actor.COMMAND, user=None, project=site.project)


@pytest.mark.parametrize("name", OF_THE_SITE_BY_COMMANDS)
def test_what_commands_do_to_the_site_leaves_one_entry(site: Site, name: str) -> None:
    check(site, OF_THE_SITE_BY_COMMANDS[name], role=Actor.COMMAND, user=None, project=None)


def test_a_project_that_is_deleted_leaves_who_had_it_deleted() -> None:
    project, by = make.project(), make.user("root", is_superuser=True)
    number = project.pk
    make.study(project, n_pairs=2)
    job = queue_job("delete_project", project, by=by)
    jobs.run(job.pk)
    entry = AuditEntry.objects.get(what=What.PROJECT_DELETED)
    assert (entry.project_number, entry.user_name, entry.object_name) == (number, "root", entry.project_name)


# Log-ins ------------------------------------------------------------------------------------------------------------


PASSWORD = "a-good-password"


def log_in(name: str, password: str = PASSWORD, by: Client | None = None) -> None:
    (by or Client()).post(reverse("login"), {"username": name, "password": password})


def entries() -> list[tuple[str, str, str, str]]:
    found = AuditEntry.objects.order_by("pk").values_list("what", "role", "user_name", "object_name")
    return list(found)


def test_log_in_and_log_out_stand_in_the_log() -> None:
    name, browser = make.member(make.project()).username, Client()
    log_in(name, by=browser)
    browser.post(reverse("logout"))
    assert entries() == [(what, Actor.RESEARCHER, name, "") for what in (What.LOG_IN, What.LOG_OUT)]


def test_a_refused_log_in_names_the_account_and_never_what_was_typed() -> None:
    name = make.member(make.project()).username
    log_in(name, "wrong")
    log_in("my-secret-password", "wrong")
    log_in("another-password", "wrong")
    refused, visitor = What.LOG_IN_REFUSED, Actor.VISITOR
    assert entries() == [(refused, visitor, "", name), (refused, visitor, "", "")]  # nobody's once an hour


def test_an_account_that_is_locked_out_stands_in_the_log_once_an_hour(settings: Any) -> None:
    settings.WRONG_PER_NAME_AND_ADDRESS = (2, 900.0)
    name = make.member(make.project()).username
    for _ in range(5):
        log_in(name, "wrong")
    told = [what for what, *_ in entries()]
    assert told == [What.LOG_IN_REFUSED, What.LOG_IN_REFUSED, What.LOCKED_OUT]
    assert AuditEntry.objects.get(what=What.LOCKED_OUT).object_name == name


def test_of_who_only_rates_the_log_never_says_who_logs_in() -> None:
    name, browser = make.member(make.project(), Role.ANNOTATOR).username, Client()
    log_in(name, "wrong")
    log_in(name, by=browser)
    browser.post(reverse("logout"))
    assert [(role, user, on) for _, role, user, on in entries()] == [
        (Actor.VISITOR, "", ""),
        (Actor.ANNOTATOR, "", ""),
        (Actor.ANNOTATOR, "", ""),
    ]


# What never stands there --------------------------------------------------------------------------------------------


def test_nothing_that_people_who_rate_wrote_or_hold_stands_in_the_log(site: Site) -> None:
    study = site.study
    invitation, who = make.invitation(study), person(site)
    code, pseudonym, reason = make.code(who), who.annotator.pseudonym, "She wrote me the word wombat."
    note = "A wombat in the note."
    extra = make.participation(make.more_wanted(study))
    make.rating(make.leases(extra)[0], 5, note=note)
    for name in ("ratings", "remarks", "items-csv"):
        site.get(f"annotation:{name}", study.public_id)
    decided = {"decision": "pay-no", "reason": reason}
    site.post("annotation:decide", study.public_id, who.public_id, **decided)
    site.post("annotation:settle", study.public_id, extra.public_id, reason=reason)
    completion = {"completion_code": "SECRET-C0DE", "completion_url": "https://panel.example/done", "reason": reason}
    site.post("annotation:completion", study.public_id, **completion)
    site.post("annotation:invite", study.public_id, kind="one", note=reason)
    Client().post(reverse("annotation:withdrawal"), {"code": code, "confirm": "on"})
    log_in(code, code)
    assert {What.DECIDED, What.ERASED, What.LOG_IN_REFUSED, What.DOWNLOADED} <= {what for what, *_ in entries()}
    log = json.dumps(list(AuditEntry.objects.values()), default=str)
    links = [invitation.token, *study.invitations.values_list("token", flat=True)]
    secrets = ["wombat", "SECRET-C0DE", "panel.example", code, pseudonym, *links]
    secrets += [str(each.public_id) for each in (who, extra)] + ["a-good-password", "127.0.0.1"]
    assert study.name in log
    assert [secret for secret in secrets if secret in log] == []
