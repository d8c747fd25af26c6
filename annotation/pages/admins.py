"""The pages of a project's admin: who is in it, who is invited, and what it is called."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from datasets import members as verbs
from datasets.access import LoggedIn, administered_project
from datasets.audit import record
from datasets.confirm import confirmed
from datasets.forms import MemberInvitationForm, ProjectForm, RoleForm, understood
from datasets.models.audit import What
from datasets.models.projects import Membership, Project, Role
from datasets.once import once
from datasets.refusals import Refusal
from datasets.telling import told_on


@never_cache
@confirmed
@require_GET
def members(request: LoggedIn, project: str) -> HttpResponse:
    found = administered_project(request, project)
    context = {
        "project": found,
        "members": found.memberships.select_related("user").order_by("user__username"),
        "roles": Role.choices,
        "invitations": found.invitations.waiting().select_related("made_by"),
        "good": set(found.invitations.good().values_list("pk", flat=True)),
        "form": MemberInvitationForm(may_mail=verbs.may_mail()),
    }
    return render(request, "annotation/admins/members.html", context)


@confirmed
@require_POST
def give_role(request: LoggedIn, project: str, member: int) -> HttpResponse:
    person = _member(request, project, member)
    with _told(request):
        role = understood(RoleForm(request.POST))["role"]
        verbs.give_role(person, role, by=request.user)
        messages.success(request, f"{person.user} is {role} now.")
    return _to_members(request, person.project)


@confirmed
@require_POST
def take_out(request: LoggedIn, project: str, member: int) -> HttpResponse:
    person = _member(request, project, member)
    with _told(request):
        verbs.take_out(person, by=request.user)
        messages.success(request, f"{person.user} is no member any more.")
    return _to_members(request, person.project)


@contextmanager
def _told(request: HttpRequest) -> Iterator[None]:
    """What is refused within is told on the page that comes next, whichever that is."""
    try:
        yield
    except Refusal as refusal:
        messages.error(request, str(refusal))


def _member(request: LoggedIn, project: str, member: int) -> Membership:
    found = administered_project(request, project)
    return get_object_or_404(found.memberships.select_related("project", "user"), pk=member)


def _to_members(request: LoggedIn, project: Project) -> HttpResponse:
    """Whoever has given up, or lost, their own role of admin goes home: the page is not theirs any more."""
    if project.is_administered_by(request.user):
        return redirect("annotation:members", project.slug)
    return redirect("home")


# Invitations -------------------------------------------------------------------------------------------------------


@confirmed
@require_POST
@told_on("annotation:members")
@once
def invite(request: LoggedIn, project: str) -> HttpResponse:
    found = administered_project(request, project)
    form = MemberInvitationForm(request.POST, may_mail=verbs.may_mail())
    invitation = verbs.invite(found, **understood(form), by=request.user)
    return redirect("annotation:member-link", found.slug, invitation.pk)


@never_cache
@require_GET
def link(request: LoggedIn, project: str, invited: int) -> HttpResponse:
    """To whoever made the invitation, at their first look; then it is mailed too, where that was asked for."""
    found = administered_project(request, project)
    invitation = get_object_or_404(found.invitations.waiting(), pk=invited)

    def address(token: str) -> str:
        return request.build_absolute_uri(reverse("annotation:invited", args=[token]))

    shown = verbs.link_to_show(invitation, address) if invitation.made_by_id == request.user.pk else None
    context = {
        "project": found,
        "invitation": invitation,
        "link": shown,
        "is_mailed": shown is not None and verbs.mail_link(invitation, shown),
    }
    return render(request, "annotation/admins/link.html", context)


@confirmed
@require_POST
def withdraw_invitation(request: LoggedIn, project: str, invited: int) -> HttpResponse:
    found = administered_project(request, project)
    invitation = get_object_or_404(found.invitations, pk=invited)
    with _told(request):
        verbs.withdraw_invitation(invitation, by=request.user)
        messages.success(request, "The invitation is withdrawn: its link opens nothing any more.")
    return _to_members(request, found)


# Settings ----------------------------------------------------------------------------------------------------------


@never_cache
@require_http_methods(["GET", "POST"])
def settings(request: LoggedIn, project: str) -> HttpResponse:
    found = administered_project(request, project)
    before = found.name
    form = ProjectForm(request.POST or None, instance=found, label_suffix="")
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            form.save()
            record(
                What.SETTINGS_CHANGED,
                by=request.user,
                on=found,
                project=found,
                before={"name": before},
                after={"name": found.name},
            )
        messages.success(request, "Saved.")
        return redirect("annotation:project", found.slug)
    context = {"project": found, "name": before, "form": form}
    return render(request, "annotation/admins/settings.html", context, status=400 if form.errors else 200)
