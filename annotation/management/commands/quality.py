from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from annotation.management.json_file import read_json
from annotation.management.naming import named_study
from annotation.models.people import Participation
from annotation.models.quality import Flag, Preregistration
from annotation.models.studies import Study
from annotation.studies.forms.preregistration import PreregistrationForm
from annotation.studies.preregistration import change_preregistration, preregistration_of
from annotation.watching import assessment, decisions, flags
from annotation.watching.background import request_check
from annotation.watching.forms import ReasonForm
from datasets.forms import understood
from datasets.management.following import finish_here
from datasets.telling import TellingCommand

VERDICTS = {"yes": True, "no": False}


class Command(TellingCommand):
    help = "Flags of a study with their evidence; decide about a person; change what is preregistered."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study", help="PROJECT/CAMPAIGN/MODE")
        parser.add_argument("--check", action="store_true", help="check all answers first")
        parser.add_argument("--person", metavar="A-...", help="the annotator's name in the project")
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--use", choices=VERDICTS, help="with --person: whether the ratings are used")
        what.add_argument("--pay", choices=VERDICTS, help="with --person: whether the person is paid")
        what.add_argument("--settle", action="store_true", help="with --person: settle the flags, decide nothing else")
        what.add_argument(
            "--preregistration", type=Path, help='JSON file: {"headline": "interval", "failed_checks": 2, ...}'
        )
        parser.add_argument("--reason", default="", help="why; kept for good")

    def handle(self, *args: Any, study: str, **options: Any) -> None:
        found = named_study(study)
        if options["check"]:
            finish_here(self, request_check(found, assessment.KIND))
        if path := options["preregistration"]:
            self.preregister(found, path, options["reason"])
        elif options["use"] or options["pay"] or options["settle"]:
            self.decide(found, options)
        else:
            self.show(found)

    def decide(self, study: Study, options: dict[str, Any]) -> None:
        person = self.person(study, options["person"])
        form = ReasonForm({"reason": options["reason"]})
        reason = understood(form, "Say why with --reason; it is kept for good.")["reason"]
        if options["settle"]:
            n = decisions.settle_flags(person, reason=reason)
            self.stdout.write(f"{n} flag{'' if n == 1 else 's'} settled; nothing else has changed.")
            return
        kind = "use" if options["use"] else "pay"
        made = decisions.decide(person, kind, verdict=VERDICTS[options[kind]], reason=reason)
        self.stdout.write(f"{person.annotator} is {decisions.describe(made)} from now on.")

    def person(self, study: Study, name: str | None) -> Participation:
        people = Participation.objects.filter(study=study).select_related("annotator")
        found = people.filter(annotator__pseudonym=name).first() if name else None
        if found is None:
            raise CommandError("Name somebody of this study with --person; their names are on its page.")
        return found

    def preregister(self, study: Study, path: Path, reason: str) -> None:
        given, current = read_json(path), preregistration_of(study)
        known = set(PreregistrationForm.base_fields) - {"reason"}
        if not isinstance(given, dict) or not given.keys() <= known or not all(map(is_plain, given.values())):
            names = ", ".join(sorted(known))
            raise CommandError(f"{path} must be a JSON object of texts and numbers; it may hold {names}.")
        unsaid = {"headline": Preregistration.Headline.INTERVAL, "reason": reason}
        form = PreregistrationForm(study, current, unsaid | given)
        understood(form)
        self.stdout.write(change_preregistration(study, **form.decided()))

    def show(self, study: Study) -> None:
        waiting = Flag.objects.to_decide().filter(participation__study=study)
        for flag in waiting.select_related("participation__annotator"):
            told = flags.in_words(flag.reason, flag.evidence)
            self.stdout.write(f"{flag.participation.annotator}: {flag.get_reason_display()}. {told}")
        if not waiting:
            self.stdout.write("No flag waits for a decision.")


def is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)
