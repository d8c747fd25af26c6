from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from datasets.forms import SourceForm, understood
from datasets.management.following import named_project
from datasets.models.pictures import Source
from datasets.models.projects import Project
from datasets.telling import TellingCommand

FACTS = {"licence": "under which its pictures are shown", "citation": "how to cite it", "legal_basis": "e.g. consent"}


class Command(TellingCommand):
    help = "Say what a source's licence, citation and legal basis are, or change them; releases made later carry them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("project", help="the project's slug")
        parser.add_argument("source", help="its name, as manifests have it")
        for fact, what in FACTS.items():
            parser.add_argument(f"--{fact.replace('_', '-')}", help=what)

    def handle(self, *args: Any, project: str, source: str, **options: Any) -> None:
        found = named_source(named_project(project), source)
        told = {fact: options[fact] for fact in FACTS if options[fact] is not None}
        if told:
            change(found, told)
        for fact in FACTS:
            self.stdout.write(f"{fact.replace('_', ' ')}: {getattr(found, fact) or '-'}")


def named_source(project: Project, name: str) -> Source:
    if found := project.sources.filter(name=name).first():
        return found
    known = ", ".join(project.sources.values_list("name", flat=True)) or "none yet"
    raise CommandError(f"There is no source {name!r}. Sources of {project.slug}: {known}.")


def change(source: Source, told: dict[str, str]) -> None:
    form = SourceForm({fact: getattr(source, fact) for fact in FACTS} | told, instance=source)
    understood(form)
    form.save()
