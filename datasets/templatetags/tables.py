"""Tables as every page shows them."""

from django import template
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

register = template.Library()
NUMBERS = "# "  # before the name of a column that holds numbers


@register.simple_block_tag
def table(content: SafeString, *columns: str, labelledby: str = "", label: str = "") -> SafeString:
    """Rows under the names of their columns, in a frame that scrolls sideways by touch and by keyboard.

    Named for screen readers by the element with this id, or by a label of its own.
    """
    named = [(name.removeprefix(NUMBERS), name.startswith(NUMBERS)) for name in columns]
    context = {"rows": content, "columns": named, "labelledby": labelledby, "label": label}
    return render_to_string("datasets/_table.html", context)
