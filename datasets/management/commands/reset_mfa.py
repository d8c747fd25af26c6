from typing import Any

from allauth.mfa.models import Authenticator
from django.contrib.auth.models import User
from django.core.management.base import CommandParser

from datasets.refusals import Refusal
from datasets.telling import TellingCommand


class NoSuchAccount(Refusal):
    pass


class Command(TellingCommand):
    help = "Take the second factors from an account whose owner has lost them. Its password then opens it alone."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")

    def handle(self, *, username: str, **options: Any) -> None:
        user = User.objects.filter(username=username).first()
        if user is None:
            raise NoSuchAccount(f"There is no account {username!r}.")
        n, _ = Authenticator.objects.filter(user=user).delete()
        self.stdout.write(f"{n} second factors of {username} are gone, recovery codes among them.")
