"""The site of the admin: whatever is registered there is guarded, by us or by another package."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import Model

from datasets.guarded import Guarded

OF_ACCOUNTS = {"account", "mfa", "usersessions"}  # everybody's own, secrets among them: not for looking at


class GuardedSite(admin.AdminSite):
    def register(
        self,
        model_or_iterable: type[Model] | Iterable[type[Model]],
        admin_class: type[admin.ModelAdmin[Any]] | None = None,
        **options: Any,
    ) -> None:
        models = [model_or_iterable] if isinstance(model_or_iterable, type) else [*model_or_iterable]
        shown = [model for model in models if model._meta.app_label not in OF_ACCOUNTS]
        given = admin_class or admin.ModelAdmin
        guarded = given if issubclass(given, Guarded) else type(given.__name__, (Guarded, given), {})
        super().register(shown, guarded, **options)
