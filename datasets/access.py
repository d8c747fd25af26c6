"""Who may see a project: lookup and permission in one query, a 404 for everybody else."""

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.shortcuts import get_object_or_404

from datasets.models.projects import Project


class LoggedIn(HttpRequest):
    """A request to a page that asks for a log-in, as all do that do not say otherwise."""

    user: User


def managed_project(request: LoggedIn, slug: str) -> Project:
    return get_object_or_404(Project.objects.managed_by(request.user), slug=slug)


def administered_project(request: LoggedIn, slug: str) -> Project:
    return get_object_or_404(Project.objects.administered_by(request.user), slug=slug)
