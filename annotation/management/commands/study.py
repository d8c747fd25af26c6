from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.urls import reverse

from annotation.languages import in_english
from annotation.management.naming import named_study
from annotation.management.wording_file import wording
from annotation.models.people import Invitation
from annotation.models.studies import Study
from annotation.studies import invitations, life
from annotation.studies.deleting import delete_study
from annotation.studies.filling import add_further_pairs
from annotation.studies.forms.study_page import CompletionForm
from annotation.studies.wording import write_texts
from annotation.watching import downloads
from annotation.watching.agreement import study_agreement
from annotation.watching.progress import study_progress
from datasets.audit import record
from datasets.forms import understood
from datasets.management.following import finish_here
from datasets.models.audit import What
from datasets.models.jobs import Job
from datasets.telling import TellingCommand

PRINTED = {"ratings": downloads.rating_lines, "remarks": downloads.remark_lines, "cues": downloads.cue_lines}
PRINTED_WORDS = {
    "ratings": "the ratings so far",
    "remarks": "viewing conditions and remarks",
    "cues": "boxes on what gives something away",
}
STATES = {"open": Study.State.OPEN, "pause": Study.State.PAUSED, "close": Study.State.CLOSED}


class Command(TellingCommand):
    help = "Show a study; open, pause or close it; change its goal; add pairs; delete it; invitations."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study", help="PROJECT/CAMPAIGN/MODE")
        what = parser.add_mutually_exclusive_group()
        for verb in STATES:
            what.add_argument(f"--{verb}", action="store_const", const=verb, dest="step")
        what.add_argument("--goal", type=int, help="ratings wanted per pair from now on")
        parser.add_argument("--reason", default="", help="with --goal, --pause, --completion: why, for the history")
        what.add_argument("--add-pairs", action="store_true", help="the project's pairs of the kinds it holds already")
        what.add_argument("--delete", action="store_true", help="while nobody has rated in it")
        what.add_argument("--wording", type=Path, help="JSON file: kind of text to its new words")
        parser.add_argument("--language", choices=in_english(), help="with --wording: if not the study's own")
        for name, words in PRINTED_WORDS.items():
            what.add_argument(
                f"--{name}", action="store_const", const=name, dest="printed", help=f"print {words} as CSV"
            )
        what.add_argument(
            "--completion", nargs=2, metavar=("CODE", "ADDRESS"), help='what the last page shows; "" for nothing'
        )
        parser.add_argument("--note", default="", help="with --invite, for yourself")
        what.add_argument("--invite", choices=Invitation.Kind.values)
        what.add_argument("--revoke", metavar="TOKEN", help="the last part of an invitation's address")

    def handle(self, *args: Any, study: str, **options: Any) -> None:
        self.act(named_study(study), options)

    def act(self, study: Study, options: dict[str, Any]) -> None:
        if step := options["step"]:
            life.change_state(study, STATES[step], reason=options["reason"])
            self.stdout.write(f"{study} is {study.get_state_display()} now.")
        elif (goal := options["goal"]) is not None:
            self.change_goal(study, goal, options["reason"].strip())
        elif options["add_pairs"]:
            self.add_pairs(study)
        elif options["delete"]:
            delete_study(study)
            self.stdout.write(f"{study} is deleted.")
        elif path := options["wording"]:
            write_texts(study, wording(path, study.mode), language=options["language"])
            self.stdout.write("The wording is saved.")
        elif printed := options["printed"]:
            record(What.DOWNLOADED, by=None, on=study, project=study.project, after={"table": printed})
            self.stdout.writelines(PRINTED[printed](study))
        elif completion := options["completion"]:
            self.change_completion(study, *completion, reason=options["reason"])
        elif kind := options["invite"]:
            made = invitations.invite(study, kind=kind, note=options["note"][:120])
            self.stdout.write(reverse("annotation:join", args=[made.token]))
        elif token := options["revoke"]:
            self.revoke(study, token)
        else:
            self.show(study)

    def add_pairs(self, study: Study) -> None:
        added = add_further_pairs(study)
        if isinstance(added, Job):
            self.stdout.write(f"{study} holds {finish_here(self, added)['n_pairs']} pairs now.")
        else:
            self.stdout.write(f"{added} pairs were added.")

    def change_goal(self, study: Study, goal: int, reason: str) -> None:
        if study.has_begun and not reason:
            raise CommandError("Say why with --reason: a new goal departs from the preregistration.")
        life.change_goal(study, goal, reason=reason)
        self.stdout.write(f"Each pair of {study} wants {study.goal} ratings now.")

    def revoke(self, study: Study, token: str) -> None:
        invitation = study.invitations.filter(token=token).first()
        if invitation is None:
            raise CommandError("This study has no such invitation.")
        invitations.revoke_invitation(invitation)
        self.stdout.write("Nobody new can come in by this link.")

    def change_completion(self, study: Study, code: str, address: str, *, reason: str) -> None:
        form = CompletionForm({"completion_code": code, "completion_url": address, "reason": reason})
        life.change_completion(study, **understood(form))
        self.stdout.write(f"The last page of {study} is changed.")

    def show(self, study: Study) -> None:
        progress, agreement = study_progress(study), study_agreement(study)
        alpha = agreement["interval"]
        shown = f"{alpha['alpha']:.3f}" if alpha["alpha"] is not None else f"undefined ({alpha['reason']})"
        self.stdout.write(f"{study}: {study.get_state_display()}")
        self.stdout.write(f"{progress.n_rated} of {progress.n_wanted} ratings, {progress.n_people} people")
        self.stdout.write(f"Krippendorff's alpha (interval): {shown}")
