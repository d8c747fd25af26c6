"""Trainings as a project's admin steers them: who may start, stop, compare and use what, and what they are told."""

import re
from dataclasses import asdict
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from datasets.files import media_path
from datasets.jobs import claim
from datasets.models.audit import AuditEntry, What
from datasets.models.jobs import Job
from datasets.models.projects import Project, Role
from datasets.models.releases import Release
from scoring.at_hand import WEIGHT_FILES
from scoring.models import Checkpoint, Comparison, TrainingRun
from scoring.recipe import Recipe
from scoring.runs import GIVEN
from tests import make
from tests.scoring import trained

pytestmark = pytest.mark.django_db

VERBS = ("cancel", "again", "go-on", "compare", "use", "out-of-use")


def logged_in(**fields: Any) -> Client:
    client = Client()
    client.force_login(make.user(is_staff=True, **fields))
    return client


def permitted(*names: str) -> Client:
    """Staff with these permissions alone, who are admins of every project there is."""
    user = make.user(is_staff=True)
    for project in Project.objects.all():
        project.memberships.create(user=user, role=Role.ADMIN)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="scoring", codename__in=names))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def admin() -> Client:
    return logged_in(is_superuser=True)


def of_role(project: Project, role: str) -> Client:
    """Somebody with this role in the project, and no staff."""
    client = Client()
    client.force_login(make.member(project, role))
    return client


def values(**changes: Any) -> dict[str, Any]:
    """The form as it is sent; what is None is left empty, an unticked box is not sent."""
    recipe = asdict(Recipe(mode="HA2")) | trained.CHOICES | changes
    sent = {name: value for name, value in recipe.items() if name not in GIVEN and value is not False}
    return {name: "" if value is None else value for name, value in sent.items()}


def train_on(release: Release) -> str:
    return reverse("scoring:train", args=[release.project.slug, release.slug, release.version])


def page_of(run: TrainingRun) -> str:
    return reverse("scoring:run", args=[run.public_id])


def verb(run: TrainingRun, name: str) -> str:
    return reverse(f"scoring:{name}", args=[run.public_id])


def said(reply: Any) -> list[str]:
    """The messages on the page that a click leads to."""
    return [str(message) for message in reply.context["messages"]]


# Choosing a release --------------------------------------------------------------------------------------------------


def test_the_models_page_leads_a_projects_admin_to_its_releases(admin):
    first, second = trained.release(), trained.release(simulated=True)
    runs = reverse("scoring:runs", args=[second.project.slug])
    page = admin.get(runs).content.decode()
    assert f'href="{train_on(second)}">{second.title}, version 1</a>' in page
    assert "simulated ratings" in page
    assert train_on(first) not in page
    assert train_on(second) not in of_role(second.project, Role.RESEARCHER).get(runs).content.decode()
    Release.objects.update(frozen_at=None)
    assert "Freeze a study first" in admin.get(runs).content.decode()
    assert admin.get(train_on(second)).status_code == 404


def test_a_release_of_another_project_is_not_found():
    release, mine = trained.release(), make.project()
    other = reverse("scoring:train", args=[mine.slug, release.slug, release.version])
    client = of_role(mine, Role.ADMIN)
    for url in (train_on(release), other):
        assert {client.get(url).status_code, client.post(url, values()).status_code} == {404}
    assert not TrainingRun.objects.exists()


def test_the_release_leads_to_its_training_on_the_site_and_in_the_admin(admin):
    release = trained.release()
    link = f'href="{train_on(release)}">Train on this release</a>'
    site = reverse("datasets:release", args=[release.project.slug, release.slug, release.version])
    assert link in admin.get(reverse("admin:datasets_release_change", args=[release.pk])).content.decode()
    assert link in of_role(release.project, Role.ADMIN).get(site).content.decode()
    assert link not in of_role(release.project, Role.RESEARCHER).get(site).content.decode()


# The recipe ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def weights_folder(settings, monkeypatch, tmp_path):
    """Where weights are looked for, with none in it."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch-home"))
    settings.WEIGHTS_DIR = str(tmp_path)
    return tmp_path


def test_without_the_papers_weights_the_form_begins_with_random_ones_and_says_which_file_is_missing(
    admin, weights_folder
):
    (weights_folder / WEIGHT_FILES["alexnet"]).touch()
    reply = admin.get(train_on(trained.release()))
    assert reply.context["form"]["weights"].value() == "random"
    page = reply.content.decode()
    assert f"put <code>{WEIGHT_FILES['resnet50']}</code>" in page
    assert "Here are those of: alexnet." in page


def test_the_form_says_how_large_the_parts_are_and_where_it_would_train(admin):
    page = " ".join(admin.get(train_on(trained.release())).content.decode().split())
    assert '<th scope="row">all</th> <td class="number">8 (8)</td> <td class="number">2 (2)</td>' in page
    assert "TRAIN_DEVICE, which is auto here. This host has" in page
    assert "none falls into test" in admin.get(train_on(trained.release(n_pairs=4))).content.decode()


def test_a_look_at_another_split_seed_trains_nothing(admin):
    release = trained.release()
    reply = admin.post(train_on(release), values(split_seed=7, scheme="anon-nothing") | {"look": "1"})
    page = reply.content.decode()
    assert "with the split seed 7" in page
    assert "No pair is of the method &#x27;nothing&#x27;" in page
    assert not TrainingRun.objects.exists()


def test_the_form_begins_with_the_papers_recipe_and_asks_for_neither_mode_nor_scale(admin, weights_folder):
    (weights_folder / WEIGHT_FILES["resnet50"]).touch()
    reply = admin.get(train_on(trained.release()))
    shown = {field.name: field.value() for field in reply.context["form"]}
    assert shown == {name: value for name, value in asdict(Recipe(mode="HA2")).items() if name not in GIVEN}
    assert "Mode <b>HA2</b> and scale 1 to 10 are the release's" in reply.content.decode()


def test_good_values_queue_a_run_and_lead_to_its_page(admin):
    release = trained.release()
    reply = admin.post(train_on(release), values(lr=0.25, epochs=3, flip=False, seed=9))
    run = TrainingRun.objects.get()
    assert reply.url == page_of(run)
    assert run.recipe == asdict(
        Recipe(mode="HA2", **trained.CHOICES | {"lr": 0.25, "epochs": 3, "flip": False, "seed": 9})
    )
    assert (run.release, run.job.state, run.job.kind) == (release, "queued", "train_release")
    assert run.job.created_by == reply.wsgi_request.user
    assert admin.get(reply.url).status_code == 200


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("lr", 50, "lr must be from 0 to 10."),
        ("lr", 0, "lr must be above 0."),
        ("lr", "nan", "Enter a number."),
        ("lr", None, "This field is required."),
        ("epochs", 0, "epochs must be from 1 to 10000."),
        ("epochs", 2.5, "Enter a whole number."),
        ("epochs", "9" * 30, "epochs must be from 1 to 10000."),
        ("backbone", "resnet34", "resnet34 is not one of the available choices."),
        ("weights", "imagenet", "weights must be random for the backbone tiny"),
        ("task", "classification", "task must be regression where the target is mean."),
        ("scheme", "some", "There is no split scheme &#x27;some&#x27;"),
        ("scheme", "loov-\0", "Null characters are not allowed."),
        ("seed", -1, "seed must be from 0 to 2"),
        ("size", 16, "size must be from 32 to 1024."),
    ],
)
def test_a_bad_value_is_explained_beside_its_field_and_queues_nothing(admin, field, value, says):
    release = trained.release()
    n_jobs = Job.objects.count()
    reply = admin.post(train_on(release), values(**{field: value}))
    assert (reply.status_code, list(reply.context["form"].errors)) == (400, [field])
    rows = re.split(r"<div>\s*<label", reply.content.decode())
    [beside] = [row for row in rows if 'class="errorlist"' in row]
    assert f'name="{field}"' in beside
    assert says in beside
    assert (TrainingRun.objects.count(), Job.objects.count()) == (0, n_jobs)


def test_what_was_typed_stays_when_one_value_is_bad(admin):
    reply = admin.post(train_on(trained.release()), values(lr=50, epochs=17))
    assert {name: reply.context["form"][name].value() for name in ("lr", "epochs")} == {"lr": "50", "epochs": "17"}


def test_mode_and_scale_cannot_be_sent_along(admin):
    admin.post(train_on(trained.release()), values() | {"mode": "HA1", "scale_min": -5, "scale_max": 100})
    assert {name: TrainingRun.objects.get().recipe[name] for name in GIVEN} == {
        "mode": "HA2",
        "scale_min": 1,
        "scale_max": 10,
    }


def test_a_release_too_small_to_split_is_refused_in_plain_words(admin):
    release = trained.release(n_pairs=4)
    reply = admin.post(train_on(release), values())
    assert reply.status_code == 400
    assert "Too small to split by all: of 4 originals none falls into test" in reply.content.decode()
    assert not TrainingRun.objects.exists()


# The run's page ------------------------------------------------------------------------------------------------------


def test_the_runs_page_follows_its_training(admin, media_of_its_own):
    run = trained.queued_run(epochs=10)
    assert "Waiting for a worker" in admin.get(page_of(run)).content.decode()
    claim(run.job.pk)
    trained.epochs(run, 4)
    page = admin.get(page_of(run)).content.decode()
    assert "4 of 10 epochs" in page
    assert 'data-finished="false"' in page
    assert run.release.content_hash in page


def test_the_admins_list_leads_to_the_runs_page(admin):
    run = trained.queued_run()
    change = reverse("admin:scoring_trainingrun_change", args=[run.pk])
    assert change in admin.get(reverse("admin:scoring_trainingrun_changelist")).content.decode()
    assert admin.get(change).url == page_of(run)
    staff = make.member(run.project, Role.ADMIN, is_staff=True)
    client = Client()
    client.force_login(staff)
    assert client.get(change).status_code == 403
    staff.user_permissions.set(Permission.objects.filter(codename="view_trainingrun"))
    assert client.get(change).url == page_of(run)  # type: ignore[attr-defined]


@pytest.mark.parametrize("named", ["0", "999999", "9" * 40, "nonsense", "\N{SUPERSCRIPT TWO}"])
def test_a_run_that_does_not_exist_leads_the_admin_nowhere(admin, named):
    assert admin.get(f"/admin/scoring/trainingrun/{named}/change/").status_code == 404


def test_a_verb_on_a_run_that_does_not_exist_is_not_found(admin):
    for name in VERBS:
        assert admin.post(reverse(f"scoring:{name}", args=[uuid4()])).status_code == 404


def test_the_lists_show_runs_models_and_comparisons(admin):
    run = trained.compared()
    failed = trained.queued_run(run.release)
    Job.objects.filter(pk=failed.job.pk).update(state=Job.State.FAILED, error="The loss became nan in epoch 2")
    runs = admin.get(reverse("admin:scoring_trainingrun_changelist")).content.decode()
    assert "2 of 2" in runs
    assert "The loss became nan in epoch 2" in runs
    assert run.checkpoint.sha256[:12] in admin.get(reverse("admin:scoring_checkpoint_changelist")).content.decode()
    assert str(run) in admin.get(reverse("admin:scoring_comparison_changelist")).content.decode()


@pytest.mark.parametrize("name", ["trainingrun", "checkpoint", "comparison"])
def test_a_list_costs_the_same_however_many_it_holds(admin, name):
    release = trained.release()
    trained.compared(trained.run(release))
    address = reverse(f"admin:scoring_{name}_changelist")

    def n_queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert admin.get(address).status_code == 200
        return len(captured)

    n_queries()  # content types are looked up once for all
    before = n_queries()
    for _ in range(3):
        trained.compared(trained.run(release))
    assert n_queries() == before


# Verbs ---------------------------------------------------------------------------------------------------------------


def test_cancelling_a_queued_run_ends_it_at_once(admin):
    run = trained.queued_run()
    reply = admin.post(verb(run, "cancel"), follow=True)
    assert reply.redirect_chain[-1][0] == page_of(run)
    assert said(reply) == ["Cancelling: a running training stops within a step."]
    run.job.refresh_from_db()
    assert run.job.state == Job.State.CANCELLED


def test_cancelling_a_running_run_asks_it_to_stop(admin):
    run = trained.queued_run()
    claim(run.job.pk)
    admin.post(verb(run, "cancel"))
    run.job.refresh_from_db()
    assert (run.job.state, run.job.cancel_requested) == (Job.State.RUNNING, True)


def test_a_run_that_has_ended_is_not_cancelled(admin):
    run = trained.run()
    assert said(admin.post(verb(run, "cancel"), follow=True)) == ["This run is Done already."]
    run.job.refresh_from_db()
    assert (run.job.state, run.job.cancel_requested) == (Job.State.DONE, False)


def test_running_again_leads_to_the_new_run(admin):
    run = trained.run(lr=0.125)
    reply = admin.post(verb(run, "again"))
    again = TrainingRun.objects.exclude(pk=run.pk).get()
    assert reply.url == page_of(again)
    assert (again.recipe, again.job.state) == (run.recipe, "queued")
    assert again.job.created_by == reply.wsgi_request.user


def test_running_again_by_a_recipe_that_is_no_longer_possible_is_refused_with_the_reason(admin):
    run = trained.run()
    TrainingRun.objects.update(recipe=run.recipe | {"epochs": 0})
    reply = admin.post(verb(run, "again"), follow=True)
    assert said(reply) == ["The recipe is no longer possible: epochs must be from 1 to 10000."]
    assert TrainingRun.objects.count() == 1


@pytest.mark.parametrize("state", [Job.State.FAILED, Job.State.CANCELLED])
def test_a_failed_or_cancelled_run_goes_on_but_a_done_one_does_not(admin, state):
    run, done = trained.queued_run(), trained.run()
    Job.objects.filter(pk=run.job.pk).update(state=state)
    assert "Go on" in admin.get(page_of(run)).content.decode()
    for each in (run, done):
        admin.post(verb(each, "go-on"))
    assert [Job.objects.get(pk=each.job.pk).state for each in (run, done)] == [Job.State.QUEUED, Job.State.DONE]


@pytest.mark.parametrize(
    ("who", "is_admin", "status"),
    [
        ({"role": Role.RESEARCHER}, False, 403),
        ({"role": Role.RESEARCHER, "is_staff": True}, False, 403),
        ({"role": Role.RESEARCHER, "is_superuser": True}, True, 302),
        ({"role": Role.ADMIN}, True, 302),
    ],
)
def test_a_training_is_steered_by_its_job_by_the_projects_admins_and_nobody_else(who, is_admin, status):
    run = trained.queued_run()
    Job.objects.filter(pk=run.job.pk).update(state=Job.State.RUNNING, leased_until=timezone.now())
    user = make.member(run.project, **who)
    user.user_permissions.set(Permission.objects.filter(codename="change_job"))
    client = Client()
    client.force_login(user)
    page = client.get(reverse("datasets:job", args=[run.job.public_id])).content.decode()
    assert ("Cancel" in page) == is_admin
    assert client.post(reverse("datasets:job-cancel", args=[run.job.public_id])).status_code == status
    assert Job.objects.get(pk=run.job.pk).cancel_requested == is_admin
    Job.objects.filter(pk=run.job.pk).update(state=Job.State.FAILED, leased_until=None)
    assert client.post(reverse("datasets:job-retry", args=[run.job.public_id])).status_code == status
    assert (Job.objects.get(pk=run.job.pk).state == Job.State.QUEUED) == is_admin


def test_comparing_again_asks_for_one_comparison(admin):
    run = trained.run()
    for _ in range(2):
        assert said(admin.post(verb(run, "compare"), follow=True))[-1].startswith("The comparison is being made")
    assert Job.objects.filter(kind="compare_run", arguments={"run": run.pk}).count() == 1


def test_using_a_checkpoint_puts_it_in_the_place_of_the_one_before(admin):
    release = trained.release()
    first, second = trained.run(release), trained.run(release)
    admin.post(verb(first, "use"))
    reply = admin.post(verb(second, "use"), follow=True)
    assert said(reply)[-1] == f"In use for HA2 in {release.project} from now on."
    assert Checkpoint.objects.get(in_use=True).run == second


def test_a_checkpoint_is_taken_out_of_use_and_none_takes_its_place(admin):
    run = trained.run()
    run.checkpoint.use()
    assert verb(run, "out-of-use") in admin.get(page_of(run)).content.decode()
    for _ in range(2):
        reply = admin.post(verb(run, "out-of-use"), follow=True)
        assert said(reply) == [f"No model is in use for HA2 in {run.project} any more."]
        assert verb(run, "use") in reply.content.decode()
    assert not Checkpoint.objects.filter(in_use=True).exists()
    assert AuditEntry.objects.filter(what=What.CHECKPOINT_RESTED).count() == 1


@pytest.mark.parametrize("name", ["compare", "use", "out-of-use"])
def test_a_run_without_a_model_has_none_to_compare_or_use(admin, name):
    run = trained.queued_run()
    assert said(admin.post(verb(run, name), follow=True)) == ["This run has no model to compare or to use."]
    assert not Job.objects.filter(kind="compare_run").exists()


@pytest.mark.parametrize("name", VERBS)
def test_looking_at_a_verb_does_nothing(admin, name):
    run = trained.queued_run()
    assert admin.get(verb(run, name)).status_code == 405
    run.job.refresh_from_db()
    assert (run.job.state, TrainingRun.objects.count()) == ("queued", 1)


# Who may -------------------------------------------------------------------------------------------------------------


def everything(run: TrainingRun) -> dict[str, Any]:
    """What could be started or changed by somebody who may not."""
    run.job.refresh_from_db()
    return {
        "state": run.job.state,
        "jobs": Job.objects.count(),
        "runs": list(TrainingRun.objects.values("pk", "recipe")),
        "in use": list(Checkpoint.objects.values("pk", "in_use", "sha256")),
        "figures": list(Comparison.objects.values("pk", "figures")),
    }


def test_an_admin_of_the_project_may_do_everything_without_being_staff():
    run = trained.queued_run()
    client = of_role(run.project, Role.ADMIN)
    assert client.get(train_on(run.release)).status_code == 200
    assert client.post(train_on(run.release), values()).status_code == 302
    for name in VERBS:
        assert client.post(verb(run, name), follow=True).status_code == 200, name
    run.job.refresh_from_db()
    assert (run.job.state, TrainingRun.objects.count()) == (Job.State.QUEUED, 3)  # cancelled, then going on


def test_a_researcher_sees_the_run_and_starts_and_changes_nothing():
    done, queued = trained.compared(), trained.queued_run()
    before = everything(queued)
    for run in (done, queued):
        client = of_role(run.project, Role.RESEARCHER)
        page = client.get(page_of(run))
        assert (page.status_code, "Run again" in page.content.decode()) == (200, False)
        assert {client.get(train_on(run.release)).status_code, client.get(delete(run)).status_code} == {404}
        assert client.post(train_on(run.release), values()).status_code == 404
        assert {client.post(verb(run, name)).status_code for name in (*VERBS, "delete")} == {404}
    assert everything(queued) == before


def test_results_are_neither_edited_nor_deleted_by_hand(admin):
    run = trained.compared()
    before = everything(run)
    rows = {"trainingrun": run, "checkpoint": run.checkpoint, "comparison": run.comparison}
    for name, row in rows.items():
        assert admin.post(reverse(f"admin:scoring_{name}_delete", args=[row.pk])).status_code == 403
        assert admin.get(reverse(f"admin:scoring_{name}_add")).status_code == 403
    for name in ("checkpoint", "comparison"):
        address = reverse(f"admin:scoring_{name}_change", args=[rows[name].pk])
        page = admin.get(address)
        assert (page.status_code, 'name="_save"' in page.content.decode()) == (200, False)
        assert admin.post(address, {"sha256": "0" * 64, "figures": "{}", "in_use": "on"}).status_code == 403
    assert admin.post(page_of(run), {"recipe": "{}"}).status_code == 405
    assert everything(run) == before


# Actions in lists ----------------------------------------------------------------------------------------------------


def staff_who_may(*names: str) -> Client:
    """Staff with these permissions alone, who are admins of every project there is."""
    user = make.user(is_staff=True)
    for project in Project.objects.all():
        project.memberships.create(user=user, role=Role.ADMIN)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="scoring", codename__in=names))
    client = Client()
    client.force_login(user)
    return client


def act(client: Client, name: str, action: str, *rows: Any) -> Any:
    sent = {"action": action, "_selected_action": [str(row.pk) for row in rows]}
    return client.post(reverse(f"admin:scoring_{name}_changelist"), sent, follow=True)


def test_the_chosen_runs_are_cancelled_and_those_that_have_ended_left_alone(admin):
    done = trained.run()
    queued = [trained.queued_run(done.release) for _ in range(2)]
    assert said(act(admin, "trainingrun", "cancel", done, *queued))[0].startswith("2 runs cancelled")
    states = dict(TrainingRun.objects.values_list("pk", "job__state"))
    assert states == {done.pk: "done", queued[0].pk: "cancelled", queued[1].pk: "cancelled"}


def test_the_chosen_runs_are_queued_again_and_one_that_cannot_be_is_named(admin):
    good, bad = trained.run(), trained.run(trained.release())
    TrainingRun.objects.filter(pk=bad.pk).update(recipe=bad.recipe | {"size": 8})
    told = said(act(admin, "trainingrun", "run_again", good, bad))
    assert sorted(told) == ["1 runs queued.", "The recipe is no longer possible: size must be from 32 to 1024."]
    assert TrainingRun.objects.exclude(pk__in=[good.pk, bad.pk]).get().recipe == good.recipe


def test_one_chosen_checkpoint_is_put_in_use(admin):
    release = trained.release()
    first, second = trained.run(release).checkpoint, trained.run(release).checkpoint
    assert said(act(admin, "checkpoint", "use", second)) == [f"In use for HA2 in {release.project}: {second.sha256}"]
    assert said(act(admin, "checkpoint", "use", first, second))[0].startswith("Choose one checkpoint")
    assert Checkpoint.objects.get(in_use=True) == second


def test_actions_are_for_those_who_may_train():
    run = trained.run()
    queued = trained.queued_run(run.release)
    staff, before = staff_who_may("view_trainingrun", "view_checkpoint", "change_trainingrun"), everything(queued)
    for name, action, row in (
        ("trainingrun", "cancel", queued),
        ("trainingrun", "run_again", run),
        ("checkpoint", "use", run.checkpoint),
        ("trainingrun", "delete_selected", run),
    ):
        act(staff, name, action, row)
    assert everything(queued) == before


# Deleting ------------------------------------------------------------------------------------------------------------


def delete(run: TrainingRun) -> str:
    return verb(run, "delete")


def test_a_superseded_run_is_deleted_with_its_model_and_files(admin, django_capture_on_commit_callbacks):
    run, kept = trained.compared(), trained.queued_run()
    Checkpoint.objects.update(in_use=False)
    folder = media_path(run.folder)
    (folder / "attempt-9").mkdir(parents=True)
    assert delete(run) in admin.get(page_of(run)).content.decode()
    page = admin.get(delete(run)).content.decode()
    assert f"{run.predictions.count()} predictions" in page
    assert admin.post(delete(run), {"typed": "another"}).status_code == 400
    with django_capture_on_commit_callbacks(execute=True):
        reply = admin.post(delete(run), {"typed": str(run.public_id)[:8]}, follow=True)
    assert "Deleted: run" in reply.content.decode()
    assert list(TrainingRun.objects.all()) == [kept]
    assert not folder.exists()
    assert not Checkpoint.objects.exists()
    assert not Comparison.objects.exists()
    assert Release.objects.filter(pk=run.release_id).exists()


def test_a_run_at_work_or_in_use_is_not_deleted(admin):
    queued, used = trained.queued_run(), trained.run()
    used.checkpoint.use()
    for run, says in ((queued, "cancel it first"), (used, "is in use")):
        typed = {"typed": str(run.public_id)[:8]}
        assert says in admin.post(delete(run), typed, follow=True).content.decode()
        assert delete(run) not in admin.get(page_of(run)).content.decode()
    assert TrainingRun.objects.count() == 2
