from collections.abc import Callable

from allauth.account import views as account_views
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.decorators import login_not_required, login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import URLPattern, include, path, reverse
from django.views.decorators.http import require_POST
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularJSONAPIView

from annotation.languages import in_their_language
from annotation.pages.home import home
from datasets.hosts import unfit


class AdminLogin(RedirectView):
    """The admin has no log-in of its own: one door, one lock-out. Whoever is logged in already is told so."""

    def get(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        if request.user.is_authenticated and not admin.site.has_permission(request):
            raise PermissionDenied
        return super().get(request, *args, **kwargs)

    def get_redirect_url(self, *args: object, **kwargs: object) -> str:
        query = self.request.META.get("QUERY_STRING", "")
        return f"{reverse(settings.LOGIN_URL)}?{query}" if query else reverse(settings.LOGIN_URL)


@login_not_required
def health(request: HttpRequest) -> HttpResponse:
    """Says that the web server answers; nothing else."""
    return HttpResponse("ok\n", content_type="text/plain")


@login_not_required
def ready(request: HttpRequest) -> HttpResponse:
    """Says whether this host is fit to serve, and by name alone what is not: anybody may ask."""
    names = [finding.what for finding in unfit()]
    return HttpResponse("\n".join(names or ["ok"]) + "\n", content_type="text/plain", status=503 if names else 200)


def named(route: str, view: Callable[..., HttpResponseBase], name: str) -> list[URLPattern]:
    """By our name, and by the one that django-allauth looks for."""
    return [path(route, view, name=name), path(route, view, name=f"account_{name}")]


handler500 = "config.outage.server_error"

urlpatterns = [
    path("", home, name="home"),
    path("health/", health, name="health"),
    path("ready/", ready, name="ready"),
    *named("login/", in_their_language(account_views.LoginView.as_view(template_name="login.html")), "login"),
    *named("logout/", in_their_language(login_required(require_POST(account_views.logout))), "logout"),
    path("account/", include("config.account_urls")),
    path("api/schema/", login_required(SpectacularJSONAPIView.as_view()), name="schema"),
    path("admin/login/", login_not_required(AdminLogin.as_view()), name="admin-login"),
    path("admin/", admin.site.urls),
    path("", include("annotation.urls")),
    path("", include("datasets.urls")),
    path("", include("scoring.urls")),
]
