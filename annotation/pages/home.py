from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from annotation.languages import in_their_language
from annotation.models.people import Participation
from annotation.models.studies import Study
from datasets.access import LoggedIn
from datasets.models.projects import Project


@in_their_language
@require_GET
def home(request: LoggedIn) -> HttpResponse:
    """Where a log-in leads: studies to rate in, projects to run."""
    begun = {
        participation.study_id: participation
        for participation in Participation.objects.filter(annotator__user_id=request.user.pk)
    }
    campaigns = {participation.campaign_id for participation in begun.values()}
    studies = [
        {
            "study": study,
            "participation": begun.get(study.pk),
            "is_taken": study.campaign_id in campaigns and study.pk not in begun,
        }
        for study in Study.objects.open_to(request.user).select_related("campaign__project")
    ]
    context = {"studies": studies, "projects": Project.objects.managed_by(request.user)}
    return render(request, "annotation/home.html", context)
