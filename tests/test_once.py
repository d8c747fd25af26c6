"""A form that starts something, sent twice at once or again a moment later, starts it once: as a double click does on a
page without a script."""

import io
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.models import QuerySet
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotation.models.people import Invitation
from annotation.models.studies import Study, StudyChange
from datasets.files import media_path
from datasets.models.forms import SentForm
from datasets.models.invitations import ProjectInvitation
from datasets.models.jobs import Job
from datasets.models.projects import ProjectChange
from datasets.models.releases import ReleaseNotice
from datasets.models.removals import Removal
from datasets.once import AGAIN, KEPT, forget_sent_forms
from scoring.models import TrainingRun
from tests import make
from tests.races import at_once
from tests.scoring import trained

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]
FORM = re.compile(r"<form[^>]*>(.*?)</form>", re.DOTALL)
FIELD = re.compile(r'name="once" value="([^"]+)"')


@dataclass
class Begin:
    """A form: the page on which it stands, where it is sent, with what beside its key; and what it begins."""

    project: Any
    page: str
    to: str
    begun: QuerySet[Any]
    said: Callable[[], dict[str, Any]] = dict


def freezing() -> Begin:
    study = make.rated_study(n_pairs=2, n_people=2)
    study.project.sources.update(licence="CC0", citation="Somebody 2026")
    page, to = (reverse(f"annotation:{name}", args=[study.public_id]) for name in ("study", "freeze"))
    return Begin(study.project, page, to, Job.objects.filter(kind="freeze_study"))


def confirmed_freezing() -> Begin:
    study = make.rated_study(n_pairs=2, n_people=2)
    page, to = (reverse(f"annotation:{name}", args=[study.public_id]) for name in ("study", "freeze"))
    return Begin(study.project, page, to, Job.objects.filter(kind="freeze_study"), lambda: {"confirmed": "yes"})


def importing() -> Begin:
    project = make.project()
    page = reverse("datasets:import", args=[project.slug])

    def archive() -> dict[str, Any]:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as made:
            made.writestr("manifest.csv", "anonymized,group\n")
        return {"archive": SimpleUploadedFile("pairs.zip", file.getvalue())}

    return Begin(project, page, page, Job.objects.filter(kind="import_pairs"), archive)


def importing_what_was_shown() -> Begin:
    project, now = make.project(), timezone.now()
    shown = {"preview": [["a.png", "", "s", "", ""]], "n_rows": 1}
    job = Job.objects.create(kind="import_pairs", project=project, queued_at=now, state="done", result=shown)
    page, to = (reverse(f"datasets:{name}", args=[job.public_id]) for name in ("job", "import-previewed"))
    return Begin(project, page, to, Job.objects.exclude(pk=job.pk))


def training() -> Begin:
    release = make.release(make.rated_study(n_pairs=12, n_people=2))
    page = reverse("scoring:train", args=[release.project.slug, release.slug, release.version])
    fields = {"backbone": "tiny", "weights": "random", "target": "mean", "task": "regression", "scheme": "all",
              "split_seed": 1, "seed": 1, "epochs": 1, "batch_size": 4, "size": 32, "optimizer": "sgd", "lr": 0.01,
              "momentum": 0.9, "weight_decay": 0, "schedule": "cosine", "rotation": 0}  # fmt: skip
    return Begin(release.project, page, page, TrainingRun.objects.all(), lambda: fields)


def training_again() -> Begin:
    run = trained.run(make.release(make.rated_study(n_pairs=12, n_people=2)))
    page = reverse("scoring:run", args=[run.public_id])
    to = reverse("scoring:again", args=[run.public_id])
    return Begin(run.project, page, to, TrainingRun.objects.exclude(pk=run.pk))


def opening() -> Begin:
    study = make.study(n_pairs=2, is_open=False)
    to = reverse("annotation:state", args=[study.public_id])
    said = {"state": "open", "typed": study.short_name}
    return Begin(study.project, f"{to}?state=open", to, StudyChange.objects.filter(after="open"), lambda: said)


def closing() -> Begin:
    study = make.study(n_pairs=2)
    to = reverse("annotation:state", args=[study.public_id])
    begun = StudyChange.objects.filter(after="closed")
    return Begin(study.project, f"{to}?state=closed", to, begun, lambda: {"state": "closed"})


def closing_a_project() -> Begin:
    project = make.project()
    to = reverse("annotation:close-project", args=[project.slug])
    return Begin(project, to, to, ProjectChange.objects.all(), lambda: {"typed": project.slug})


def deleting_a_project() -> Begin:
    project = make.project()
    to = reverse("admin:datasets_project_delete", args=[project.pk])
    return Begin(project, to, to, Job.objects.filter(kind="delete_project"), lambda: {"typed": project.slug})


def inviting() -> Begin:
    study = make.study(n_pairs=2)
    page, to = (reverse(f"annotation:{name}", args=[study.public_id]) for name in ("study", "invite"))
    return Begin(study.project, page, to, Invitation.objects.all(), lambda: {"kind": "personal"})


def inviting_a_member() -> Begin:
    project = make.project()
    page, to = (reverse(f"annotation:{name}", args=[project.slug]) for name in ("members", "member-invite"))
    return Begin(project, page, to, ProjectInvitation.objects.all(), lambda: {"role": "researcher"})


def retracting() -> Begin:
    release = make.release(make.rated_study(n_pairs=2, n_people=2))
    to = reverse("datasets:retract", args=[release.project.slug, release.slug, release.version])
    said = {"reason": "A person was shown.", "name": f"{release.slug}-v{release.version}"}
    return Begin(release.project, to, to, ReleaseNotice.objects.all(), lambda: said)


def removing_a_picture() -> Begin:
    image = make.pair(make.project()).anonymized
    to = reverse("datasets:picture-remove", args=[image.project.slug, image.pk])
    return Begin(image.project, to, to, Removal.objects.all(), lambda: {"typed": str(image.pk)})


FORMS = [
    freezing, confirmed_freezing, importing, importing_what_was_shown, training, training_again, opening, closing,
    closing_a_project, deleting_a_project, inviting, inviting_a_member, retracting, removing_a_picture,
]  # fmt: skip


def logged_in(begin: Begin) -> Client:
    client = Client()
    client.force_login(make.member(begin.project, is_staff=True, is_superuser=True))
    return client


def twin(of: Client) -> Client:
    """The same browser, with another request under way."""
    other = Client()
    other.cookies = of.cookies
    return other


def key_on(page: str, to: str) -> str:
    """Of the form that is sent there; or of the only one."""
    forms = [(form[0], key[1]) for form in FORM.finditer(page) if (key := FIELD.search(form[1]))]
    here = [key for form, key in forms if f'action="{to}"' in form]
    return (here or [key for _, key in forms])[0]


def sender(begin: Begin, client: Client) -> Callable[[Client], Any]:
    """Looks at the page, then sends its form, each time with files of its own."""
    once = key_on(client.get(begin.page).content.decode(), begin.to)
    return lambda browser: browser.post(begin.to, begin.said() | {"once": once})


def kept() -> set[str]:
    """Uploads that wait for their import."""
    return {str(path) for path in media_path("incoming").glob("*")}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_sent_twice_at_once_and_again_later_begins_once(form: Callable[[], Begin]) -> None:
    begin = form()
    client = logged_in(begin)
    n_before, kept_before = begin.begun.count(), kept()
    send = sender(begin, client)
    replies = [*at_once(partial(send, client), partial(send, twin(client))), send(twin(client))]
    assert [reply.status_code for reply in replies] == [302, 302, 302]
    assert len({reply.url for reply in replies}) == 1
    assert begin.begun.count() == n_before + 1
    read = {argument for argument in Job.objects.values_list("arguments__archive", flat=True) if argument}
    assert kept() - kept_before == read
    later = twin(client)
    later.post(begin.to, begin.said() | {"once": SentForm.objects.get().key})
    assert AGAIN in "".join(str(message) for message in later.get(reverse("home")).context["messages"])


def test_the_page_shown_anew_can_be_sent_anew() -> None:
    begin = inviting()
    client = logged_in(begin)
    for _ in range(2):
        sender(begin, client)(client)
    assert begin.begun.count() == 2


def test_what_was_refused_or_is_shown_again_is_not_taken_for_done() -> None:
    begin = closing_a_project()
    client, said = logged_in(begin), {"once": uuid4()}
    assert client.post(begin.to, said | {"typed": "x"}).status_code == 400
    job = Job.objects.create(kind="import_pairs", project=begin.project, queued_at=timezone.now())
    client.post(begin.to, said | begin.said())
    assert (begin.begun.count(), SentForm.objects.count()) == (0, 0)
    job.delete()
    client.post(begin.to, said | begin.said())
    assert begin.begun.count() == 1


def test_a_key_of_somebody_elses_form_or_none_at_all_leads_nowhere() -> None:
    begin = inviting()
    first, second = logged_in(begin), logged_in(begin)
    said = {"once": uuid4()} | begin.said()
    for browser in (first, second):
        assert browser.post(begin.to, said).url == reverse("annotation:study", args=[Study.objects.get().public_id])  # type: ignore[attr-defined]
    for odd in ({"once": "x"}, {}):
        first.post(begin.to, begin.said() | odd)
    assert begin.begun.count() == 4


def test_sent_forms_are_forgotten_after_a_day() -> None:
    user, now = make.user(), timezone.now()
    for age in (KEPT * 0.9, KEPT + timedelta(minutes=1)):
        sent = SentForm.objects.create(user=user, key=uuid4(), led_to="/")
        SentForm.objects.filter(pk=sent.pk).update(sent_at=now - age)
    forget_sent_forms()
    assert SentForm.objects.get().sent_at > now - KEPT
