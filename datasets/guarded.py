"""What every class of the admin holds to, those of other packages too: `config/admin.py` sees to it."""

from functools import reduce
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import get_fields_from_path
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models import ForeignKey, Model, QuerySet
from django.forms import ModelChoiceField
from django.http import HttpRequest
from django.urls import URLPattern
from django.utils.decorators import method_decorator

from datasets.audit import record
from datasets.audited_forms import record_form, record_memberships
from datasets.confirm import confirmed
from datasets.models.audit import What
from datasets.models.projects import MANAGING_ROLES, Membership, Project, is_superuser

GIVES_ACCESS = (User, Group, Project)  # on whose pages is said who may do what


class AskedByItsFilters(ChangeList):
    """A list that its own filters, and nothing else in the address, can narrow down.

    Django lets an address ask for any column of the table by any lookup. Whoever may only look at the list could then
    spell out, in yes or no, what no page shows, or keep the database busy with one regular expression.
    """

    def get_filters(self, request: HttpRequest) -> tuple[Any, ...]:
        filters = super().get_filters(request)
        asked_besides = set(filters[2]) - self._of_the_dates()
        if asked_besides:
            raise IncorrectLookupParameters(f"no filter of this list: {sorted(asked_besides)}")
        return filters

    def _of_the_dates(self) -> set[str]:
        """What the links of years, months and days above the list ask for, where it has some."""
        parts = ("year", "month", "day", "gte", "lt")
        return {f"{self.date_hierarchy}__{part}" for part in parts} if self.date_hierarchy else set()


class Guarded(admin.ModelAdmin[Any]):
    """Staff see, choose and act on what is of their own projects, and are asked for Django's permissions besides.

    What is of no project (users, groups, what other packages keep) is for superusers alone.
    """

    path_to_project: str | None = None  # of foreign keys, from the model
    roles: tuple[str, ...] = MANAGING_ROLES  # of staff in the project

    def get_urls(self) -> list[URLPattern]:
        urls = super().get_urls()
        for each in urls if self.model in GIVES_ACCESS else []:
            each.callback = confirmed(each.callback)
        return urls

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return AskedByItsFilters

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """The rows of every page, action and choice: what is not among them is not found."""
        rows = super().get_queryset(request)
        if is_superuser(request.user):
            return rows
        if self.path_to_project is None:
            return rows.none()
        return rows.filter(**{f"{self.path_to_project}__in": Project.objects.open_to(request.user, *self.roles)})

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        """A filter by what rows are of offers that of the rows in the list, not all there is."""
        return [self._own(each) for each in super().get_list_filter(request)]

    def _own(self, list_filter: Any) -> Any:
        if not isinstance(list_filter, str) or not get_fields_from_path(self.model, list_filter)[-1].is_relation:
            return list_filter
        return list_filter, admin.RelatedOnlyFieldListFilter

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> ModelChoiceField[Any] | None:
        if not is_superuser(request.user):
            chosen_from = self.admin_site._registry.get(db_field.related_model)
            kwargs["queryset"] = (
                chosen_from.get_queryset(request) if chosen_from else db_field.related_model._default_manager.none()
            )
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    # The audit log ------------------------------------------------------------------------------------------------

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """In the transaction of the page, once all of it is saved."""
        super().save_related(request, form, formsets, change)
        record_form(form, by=request.user, project=self.project_of(form.instance), is_new=not change)
        for formset in formsets:
            if formset.model is Membership:
                record_memberships(formset, by=request.user)

    @method_decorator(transaction.atomic)
    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        self._record_deletion(request, obj)
        super().delete_model(request, obj)

    @method_decorator(transaction.atomic)
    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for each in queryset:
            self._record_deletion(request, each)
        super().delete_queryset(request, queryset)

    def _record_deletion(self, request: HttpRequest, obj: Model) -> None:
        what = What.USER_CHANGED if isinstance(obj, User) else What.SETTINGS_CHANGED
        record(what, by=request.user, on=obj, project=self.project_of(obj), after={"deleted": True})

    def project_of(self, obj: Model) -> Project | None:
        if isinstance(obj, Project):
            return obj
        return reduce(getattr, self.path_to_project.split("__"), obj) if self.path_to_project else None  # type: ignore[return-value]

    # Who may ------------------------------------------------------------------------------------------------------

    def _admits(self, request: HttpRequest) -> bool:
        return self.path_to_project is not None or is_superuser(request.user)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self._admits(request) and super().has_module_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._admits(request) and super().has_view_permission(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self._admits(request) and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._admits(request) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._admits(request) and super().has_delete_permission(request, obj)
