from django.contrib import admin, messages
from django.db.models import QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.decorators import method_decorator

from annotation.models.people import Participation
from annotation.models.ratings import Assignment
from annotation.models.studies import Campaign, Study
from annotation.privacy import erase_participation
from datasets.admin import ReadOnly
from datasets.confirm import confirmed
from datasets.forms import TypedName
from datasets.models.projects import Role


@admin.register(Campaign)
class CampaignAdmin(ReadOnly):
    path_to_project = "project"
    list_display = ["name", "project", "created_at"]
    list_filter = ["project"]
    list_select_related = ["project"]


@admin.register(Study)
class StudyAdmin(ReadOnly):
    path_to_project = "campaign__project"
    list_display = ["name", "campaign", "mode", "state", "simulated", "goal", "rated", "opened_at"]
    list_filter = ["state", "mode", "simulated", "campaign__project"]
    list_select_related = ["campaign__project"]
    search_fields = ["name", "campaign__name"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Study]:
        studies = super().get_queryset(request)
        return studies.annotate(n_rated=Sum("items__n_rated", default=0), n_wanted=Sum("items__goal", default=0))

    @admin.display(description="ratings", ordering="n_rated")
    def rated(self, study: Study) -> str:
        return f"{study.n_rated} of {study.n_wanted}"  # type: ignore[attr-defined]


@admin.register(Participation)
class ParticipationAdmin(ReadOnly):
    path_to_project = "campaign__project"
    roles = (Role.ADMIN,)
    list_display = ["annotator", "study", "consented_at", "finished_at", "withdrawn_at"]
    list_filter = ["study"]
    list_select_related = ["annotator", "study"]
    search_fields = ["annotator__pseudonym"]
    actions = ["erase"]

    def has_erase_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("annotation.delete_participation")

    @admin.action(description="Erase the chosen people's participations for good", permissions=["erase"])
    @method_decorator(confirmed)
    def erase(self, request: HttpRequest, participations: QuerySet[Participation]) -> HttpResponse | None:
        """Asks first, on a page of its own; done once the study's name is typed there."""
        chosen = list(participations.select_related("annotator", "study__campaign"))
        if len({participation.study_id for participation in chosen}) != 1:
            self.message_user(request, "Choose people of one study, then again for the next.", messages.WARNING)
            return None
        study = chosen[0].study
        form = TypedName(study.short_name, request.POST if "typed" in request.POST else None)
        if form.is_valid():
            for participation in chosen:
                erase_participation(participation, by=request.user)
            self.message_user(request, f"{len(chosen)} participations erased, with all their ratings.")
            return None
        answered = Assignment.objects.filter(participation__in=chosen).exclude(answered_at=None)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Erase people from {study}?",
            "form": form,
            "chosen": chosen,
            "n_answers": answered.count(),
            "n_releases": study.releases().count(),
        }
        page = "admin/annotation/erase.html"
        return TemplateResponse(request, page, context, status=400 if form.errors else 200)
