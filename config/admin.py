"""The site of the admin: whatever is registered there is guarded, by us or by another package."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import Model

from datasets.guarded import Guarded


class GuardedSite(admin.AdminSite):
    def register(
        self,
        model_or_iterable: type[Model] | Iterable[type[Model]],
        admin_class: type[admin.ModelAdmin[Any]] | None = None,
        **options: Any,
    ) -> None:
        given = admin_class or admin.ModelAdmin
        guarded = given if issubclass(given, Guarded) else type(given.__name__, (Guarded, given), {})
        super().register(model_or_iterable, guarded, **options)
