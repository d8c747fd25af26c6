"""Who may see a project: lookup and permission in one query, a 404 for everybody else."""

from django.http import HttpRequest
from django.shortcuts import get_object_or_404

from datasets.models.projects import Project


def managed_project(request: HttpRequest, slug: str) -> Project:
    return get_object_or_404(Project.objects.managed_by(request.user), slug=slug)
