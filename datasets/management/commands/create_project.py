from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.core.validators import validate_slug
from django.db import transaction

from datasets.audit import record, record_role
from datasets.members import give_role, take_out
from datasets.models.audit import What
from datasets.models.projects import Project, Role
from datasets.telling import TellingCommand


class Command(TellingCommand):
    help = "Make a project, or add members to it and remove them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help="its name in addresses")
        parser.add_argument("--name", help="its name for people (default: the slug)")
        parser.add_argument("--member", action="append", default=[], metavar="USER:ROLE", help="may be repeated")
        parser.add_argument("--remove-member", action="append", default=[], metavar="USER", help="may be repeated")

    @transaction.atomic
    def handle(self, *args: Any, slug: str, name: str | None, member: list[str], **options: Any) -> None:
        try:
            validate_slug(slug)
        except ValidationError as error:
            raise CommandError(f"{slug!r} may hold letters, digits, - and _ only.") from error
        if len(slug) > 60 or len(name or "") > 120:
            raise CommandError("The slug may have at most 60 characters, the name at most 120.")
        project, is_new = Project.objects.get_or_create(slug=slug, defaults={"name": name or slug})
        if is_new:
            record(What.SETTINGS_CHANGED, by=None, on=project, project=project, after={"project": "made"})
        for entry in member:
            user, _, role = entry.partition(":")
            self.add(project, user, role)
        for user in options["remove_member"]:
            self.remove(project, user)
        self.stdout.write(f"Project {project.slug} {'made' if is_new else 'was there'}; {len(member)} members set.")

    def add(self, project: Project, username: str, role: str) -> None:
        if role not in Role.values:
            raise CommandError(f"{username}:{role}: the role must be one of {', '.join(Role.values)}.")
        user = get_user_model().objects.filter(username=username).first()
        if user is None:
            raise CommandError(
                f"There is no user {username!r}; make one with manage.py createsuperuser or in the admin."
            )
        if had := project.memberships.filter(user=user).first():
            give_role(had, role, by=None)
        else:
            project.memberships.create(user=user, role=role)
            record_role(project, user, before=None, after=role, by=None)

    def remove(self, project: Project, username: str) -> None:
        membership = project.memberships.filter(user__username=username).first()
        if membership is None:
            raise CommandError(f"{username!r} is no member of {project.slug}.")
        take_out(membership, by=None)
