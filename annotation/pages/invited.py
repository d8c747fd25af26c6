"""The page of a link into a project: who has an account accepts with it, who has none makes one."""

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from annotation.languages import in_their_language
from annotation.pages.withdrawal import PACE
from datasets.forms import NewAccountForm
from datasets.members import AlreadyMember, InvitationOver, accept, accept_as_new, invitation_by
from datasets.models.invitations import ProjectInvitation
from datasets.tries import Count, TooMany, give_back, take
from datasets.visitors import visitor_address


@in_their_language
@login_not_required
@never_cache
@require_http_methods(["GET", "POST"])
def invited(request: HttpRequest, token: str) -> HttpResponse:
    """To look changes nothing. Whatever is wrong with a link is said in the same words, which name no project."""
    try:
        counted = take([Count("project invitations", visitor_address(request), PACE)])
    except TooMany as refused:
        return _too_soon(request, refused.seconds)
    invitation = invitation_by(token)
    if invitation is None:
        return _over(request)
    give_back(counted)
    try:
        return _with_account(request, invitation) if request.user.is_authenticated else _without(request, invitation)
    except InvitationOver:  # another tab, or whoever withdrew it, was a moment earlier
        return _over(request)


def _with_account(request: HttpRequest, invitation: ProjectInvitation) -> HttpResponse:
    if request.method == "GET":
        return render(request, "annotation/annotators/invited.html", {"invitation": invitation})
    try:
        accept(invitation, by=request.user)  # type: ignore[arg-type]
    except AlreadyMember:
        messages.info(request, gettext("You are a member of this project already. The link is still good."))
        return redirect("home")
    return _welcome(request)


def _without(request: HttpRequest, invitation: ProjectInvitation) -> HttpResponse:
    form = NewAccountForm(request.POST or None, initial={"email": invitation.email}, label_suffix="")
    if request.method == "POST" and form.is_valid():
        account = form.save(commit=False)
        try:
            accept_as_new(invitation, account)
        except IntegrityError:  # somebody took the name a moment ago
            form.add_error("username", gettext("This name was just taken. Choose another one."))
        else:
            login(request, account, backend=settings.AUTHENTICATION_BACKENDS[0])
            return _welcome(request)
    context = {"invitation": invitation, "form": form}
    return render(request, "annotation/annotators/invited.html", context, status=400 if form.errors else 200)


def _welcome(request: HttpRequest) -> HttpResponse:
    messages.success(request, gettext("You are a member of the project now."))
    return redirect("home")


def _over(request: HttpRequest) -> HttpResponse:
    return render(request, "annotation/annotators/invited_over.html", status=404)


def _too_soon(request: HttpRequest, seconds: int) -> HttpResponse:
    response = render(request, "annotation/annotators/invited_over.html", {"seconds": seconds}, status=429)
    response.headers["Retry-After"] = str(seconds)
    return response
