"""How the forms of a study are laid out."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms


class Plain(forms.BaseForm):
    """A form whose labels end without a colon."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": ""} | kwargs)


class Grouped(Plain):
    """A form whose fields come under headings, as templates/annotation/_fieldset.html shows them."""

    groups: Mapping[str, Sequence[str]]

    def fieldsets(self) -> list[tuple[str, list[forms.BoundField]]]:
        return [(legend, [self[name] for name in names]) for legend, names in self.groups.items()]
