"""The demo: real pictures, two studies to rate in, and a finished one whose ratings a program made up.

Every step looks at what is there already, so that a second start is quick, and one that was interrupted goes on.
"""

import json
import secrets
import shutil
from math import ceil
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import numpy as np
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db.models.functions import Now

from annotation.answering.turn import take_turn
from annotation.freeze import request_freeze
from annotation.models.people import Annotator, Participation
from annotation.models.studies import SCORES, Campaign, Study
from annotation.studies import invitations, life, setup
from annotation.studies.wording import current_texts
from datasets import jobs
from datasets.anonymize import VARIANTS
from datasets.demo_pictures import demo_originals, write_demo_pairs
from datasets.export import request_export
from datasets.hosts import demo_logins
from datasets.models.jobs import Job
from datasets.models.pictures import Pair, Source
from datasets.models.projects import Membership, Project, Role
from datasets.models.releases import Mode

LOGINS = ("annotator", "researcher", "admin")
PANEL_SIZE = 12
PANEL_GOAL = 6  # each pair is rated by half of the panel, each panellist rates half of the pairs
PANEL_SEED = 2024
PANEL_NAMESPACE = UUID("6f1c1b0e-6c1d-4c5e-9a57-0d6f5b3a9d11")

# What the simulated panel takes a pair for, by how its region was altered; nothing measured, only plausible.
QUALITY = {
    ("global", "mask"): 7.4,
    ("global", "blur"): 5.2,
    ("global", "pixelate"): 5.6,
    ("global", "inpaint"): 6.8,
    ("local", "blur"): 6.6,
    ("local", "pixelate"): 7.0,
    ("local", "inpaint"): 9.2,
}


def build_demo() -> dict[str, Any]:
    """Everything the demo shows, and how to get in: passwords by user name, and the studies' invitations."""
    project, _ = Project.objects.get_or_create(slug="demo", defaults={"name": "Demo"})
    passwords = _logins(project)
    _pairs(project)
    everyday = _campaign(project, "Everyday pictures")
    open_studies = [_open_study(everyday, mode) for mode in (Mode.HA1, Mode.HA2)]
    _simulated_release(project)
    return {
        "passwords": passwords,
        "invitations": {study.name: invitations.standing_invitation(study).token for study in open_studies},
    }


def _logins(project: Project) -> dict[str, str]:
    """One log-in per role, with passwords made at the first start and kept beside the database."""
    path = demo_logins()
    passwords: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    for name in LOGINS:
        user, is_new = get_user_model().objects.get_or_create(username=name)
        if is_new or name not in passwords:
            passwords[name] = secrets.token_urlsafe(9)
            _set_up(user, name, passwords[name])
        Membership.objects.get_or_create(project=project, user=user, defaults={"role": Role(name)})
    path.touch(mode=0o600)
    path.write_text(json.dumps(passwords))
    return passwords


def _set_up(user: User, name: str, password: str) -> None:
    user.set_password(password)
    user.is_staff = user.is_superuser = name == Role.ADMIN
    user.save()


def _pairs(project: Project) -> None:
    folder = Path(settings.VAR_DIR) / "demo-pairs"  # where the next start finds it, should this one be interrupted
    if project.pairs.count() < len(demo_originals()) * len(VARIANTS):
        _finish(_import(project, folder))
    shutil.rmtree(folder, ignore_errors=True)
    licences: dict[str, set[str]] = {}
    for original in demo_originals():
        licences.setdefault(original.source, set()).add(original.licence)
    for name, stated in licences.items():
        Source.objects.filter(project=project, name=name).update(
            licence="See citation",
            citation=f"Pictures as installed with {name}. Licences: {'; '.join(sorted(stated))}.",
        )


def _import(project: Project, folder: Path) -> Job:
    """The import of the demo's pairs that an earlier start has begun, or a new one."""
    begun = Job.objects.unfinished().filter(project=project, kind="import_pairs", arguments__root=str(folder))
    if job := begun.first():
        return job
    manifest = write_demo_pairs(folder)
    return jobs.queue_job("import_pairs", project, manifest=str(manifest), root=str(folder))


def _finish(job: Job) -> None:
    jobs.finish(job)
    if job.state != Job.State.DONE:
        raise RuntimeError(f"{job} is {job.state}: {job.error} {job.traceback}")


def _campaign(project: Project, name: str) -> Campaign:
    slug = name.lower().replace(" ", "-")
    return Campaign.objects.get_or_create(project=project, slug=slug, defaults={"name": name})[0]


def _study(campaign: Campaign, mode: str, name: str, **settings_: Any) -> Study:
    if found := campaign.studies.filter(mode=mode).first():
        return found
    pairs = Pair.objects.filter(project=campaign.project)
    return setup.create_study(campaign.project, campaign=campaign, mode=mode, name=name, pairs=pairs, **settings_)


def _open_study(campaign: Campaign, mode: str) -> Study:
    # Without warm-up: what a visitor rates is seen on the study's page at once.
    study = _study(campaign, mode, f"{campaign.name}, {mode}", goal=5, session_size=24, n_warm_up=0)
    if study.state == Study.State.DRAFT:
        life.change_state(study, Study.State.OPEN)
    return study


# The simulated panel -------------------------------------------------------------------------------------------------


def _simulated_release(project: Project) -> None:
    """A finished study rated by a program, frozen and exported. It says so wherever it appears."""
    campaign = _campaign(project, "Simulated panel")
    n_pairs = project.pairs.count()
    study = _study(
        campaign,
        Mode.HA2,
        "Simulated panel, HA2",
        simulated=True,
        goal=PANEL_GOAL,
        n_warm_up=0,
        repeat_percent=0,
        session_size=ceil(n_pairs * PANEL_GOAL / PANEL_SIZE),
    )
    if study.state == Study.State.DRAFT:
        life.change_state(study, Study.State.OPEN)
    if study.state == Study.State.OPEN:
        for number in range(PANEL_SIZE):
            _rate_as_panellist(study, number)
        life.change_state(study, Study.State.CLOSED)
    release = project.releases.exclude(frozen_at=None).filter(simulated=True).first()
    if release is None:
        _finish(request_freeze(study))
        release = project.releases.exclude(frozen_at=None).get(simulated=True)
    _finish(request_export(release))


def _rate_as_panellist(study: Study, number: int) -> None:
    """Annotator `number` of the panel rates their pairs, with a bias and a noise of their own."""
    random = np.random.default_rng((PANEL_SEED, number))
    bias, noise = random.normal(0, 0.7), random.uniform(0.5, 1.6)
    participation = _panellist(study, f"S-{number + 1:02}")
    turn = take_turn(participation, [])
    while not turn["finished"]:
        [lease, *_] = turn["leases"]
        pair = Pair.objects.get(items__assignments__public_id=lease["assignment"])
        score = round(float(np.clip(_quality(pair) + bias + random.normal(0, noise), SCORES[0], SCORES[-1])))
        key = uuid5(PANEL_NAMESPACE, lease["assignment"])
        # No seconds: nobody looked at the picture.
        turn = take_turn(participation, [{"key": key, "assignment": lease["assignment"], "score": score}])


def _panellist(study: Study, pseudonym: str) -> Participation:
    annotator, _ = Annotator.objects.get_or_create(project=study.project, pseudonym=pseudonym)
    participation, _ = Participation.objects.get_or_create(
        study=study,
        campaign=study.campaign,
        annotator=annotator,
        defaults={
            "consent_text": current_texts(study)["consent"],
            "consented_at": Now(),
            "instructed_at": Now(),
            "n_planned": study.session_size,
            "conditions": {"simulated": True},
        },
    )
    return participation


def _quality(pair: Pair) -> float:
    """What the panel sees in a pair: its method and strength, and that some originals tell more than others."""
    strength = pair.parameters.get("strength")
    is_strong = strength is not None and (strength >= 0.1 if pair.method == "blur" else strength <= 8)
    original = np.random.default_rng([PANEL_SEED, *pair.group.encode()]).normal(0, 0.8)
    return QUALITY[pair.scope, pair.method] + 1.4 * is_strong + float(original)
