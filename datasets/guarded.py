"""What every class of the admin holds to, those of other packages too: `config/admin.py` sees to it."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest


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
    """A list tells by its address no more than it shows."""

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return AskedByItsFilters
