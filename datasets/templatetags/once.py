"""The key by which a form that starts something is known when it is sent twice (datasets/once.py)."""

from uuid import uuid4

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from datasets.once import FIELD

register = template.Library()


@register.simple_tag
def once() -> SafeString:
    """Beside the CSRF token of a form, another one each time that it is shown."""
    return format_html('<input type="hidden" name="{}" value="{}">', FIELD, uuid4())
