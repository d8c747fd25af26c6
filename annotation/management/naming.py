from django.core.management.base import CommandError

from annotation.models.studies import Study
from datasets.management.following import named_project


def named_study(name: str) -> Study:
    """A study by PROJECT/CAMPAIGN/MODE."""
    project, campaign, mode, *_ = [*name.split("/"), "", ""]
    studies = Study.objects.filter(campaign__project=named_project(project)).select_related("campaign__project")
    if found := studies.filter(campaign__slug=campaign, mode=mode.upper()).first():
        return found
    known = ", ".join(f"{project}/{each.campaign.slug}/{each.mode}" for each in studies) or "none yet"
    raise CommandError(f"There is no study {name!r}. Studies of {project}: {known}.")
