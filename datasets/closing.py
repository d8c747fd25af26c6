"""A closed project: its pages can be read, and nothing begins in it. It is closed where studies are known."""

from datasets.models.projects import Project
from datasets.refusals import Refusal


class ProjectClosed(Refusal):
    sentence = (
        "This project is closed: nothing is imported, changed, frozen or trained in it, and no study opens. Its "
        "researchers and admins can open it again on its page."
    )


def check_open(project: Project) -> None:
    """Raises ProjectClosed."""
    if project.closed_at:
        raise ProjectClosed


def hold_open(project: Project) -> None:
    """Raises ProjectClosed; else whoever closes it waits for the end of the transaction in which this is called."""
    check_open(Project.objects.select_for_update(no_key=True).get(pk=project.pk))
