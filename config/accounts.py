"""How accounts behave, where django-allauth asks: who may have one, what a try counts for, how secrets are kept."""

import base64
from contextlib import suppress
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.forms import LoginForm
from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet
from django.conf import settings
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest
from django.utils.crypto import salted_hmac
from django.utils.functional import lazy
from django.utils.text import capfirst

from config.lockout import counted_try
from datasets.second_factor import needs_second_factor
from datasets.tries import Count, Limit, TooMany, take
from datasets.visitors import network_of


def _name_field() -> str:
    """In Django's own words, which it has in every language."""
    return capfirst(str(User._meta.get_field("username").verbose_name))


def _wrong() -> str:
    return str(AuthenticationForm.error_messages["invalid_login"] % {"username": _name_field().lower()})


class Accounts(DefaultAccountAdapter):
    error_messages = {**DefaultAccountAdapter.error_messages, "username_password_mismatch": lazy(_wrong, str)()}

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False  # accounts are made by admins, and by whoever was invited

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Not at all where the address has been written to too often: whoever asked is told the same as ever."""
        with suppress(TooMany):
            take([Count("mails", email.casefold(), Limit(*settings.MAILS_PER_ADDRESS))])
            super().send_mail(template_prefix, email, context)

    def get_client_ip(self, request: HttpRequest) -> str:
        """The network that the address is in: it tells somebody their own sessions apart, and no more is kept."""
        return network_of(request)


class SecondFactors(DefaultMFAAdapter):
    def encrypt(self, text: str) -> str:
        return _sealed_with().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return _sealed_with().decrypt(encrypted_text.encode()).decode()

    def get_totp_issuer(self) -> str:
        return "PerceptAnon Studio"

    def get_totp_label(self, user: Any) -> str:
        return str(user.get_username())

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        """Whoever must have a second factor keeps the last one, or adds another first."""
        user = authenticator.user
        if not needs_second_factor(user) or authenticator.type == Authenticator.Type.RECOVERY_CODES:
            return True
        kinds = [Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN]
        return Authenticator.objects.filter(user=user, type__in=kinds).exclude(pk=authenticator.pk).exists()


def _sealed_with() -> Fernet:
    """Whoever has the database alone cannot make codes of what it holds."""
    key = salted_hmac("second factors", "", secret=settings.SECRET_KEY, algorithm="sha256").digest()
    return Fernet(base64.urlsafe_b64encode(key))


class LogInForm(LoginForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        of_django = AuthenticationForm.base_fields["password"].label
        self.fields["login"].label, self.fields["password"].label = _name_field(), of_django
        self.fields["password"].help_text = ""
        for field in self.fields.values():
            field.widget.attrs.pop("placeholder", None)
        self.fields["login"].widget.attrs["autofocus"] = True

    def add_prefix(self, field_name: str) -> str:
        """Under the name by which browsers and scripts know it."""
        return super().add_prefix("username" if field_name == "login" else field_name)


class _CountedCode:
    """A code is six digits: tries count as those at the password do."""

    user: Any

    def clean_code(self) -> str:
        try:
            with counted_try(context.request, self.user.get_username()) as tried:
                code: str = super().clean_code()  # type: ignore[misc]
                tried.was_right = True
        except PermissionDenied as refused:
            raise ValidationError(str(refused)) from refused
        return code


class CodeForm(_CountedCode, AuthenticateForm):
    pass


class CodeAgainForm(_CountedCode, ReauthenticateForm):
    pass
