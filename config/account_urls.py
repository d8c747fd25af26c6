"""Somebody's own account. What django-allauth has beyond this (signing up, log-in by mailed codes) has no address."""

from allauth.account import views as account
from django.urls import include, path, re_path

from config.account import account_page, own_address, with_mail

urlpatterns = [
    path("", account_page, name="account"),
    path("again/", account.reauthenticate, name="account_reauthenticate"),
    path("e-mail/", with_mail(own_address(account.email)), name="account_email"),
    re_path("^e-mail/(?P<key>[-:\\w]+)/$", account.confirm_email, name="account_confirm_email"),
    path("password/", account.password_change, name="account_change_password"),
    path("forgotten/", with_mail(account.password_reset), name="account_reset_password"),
    path("forgotten/sent/", account.password_reset_done, name="account_reset_password_done"),
    path("forgotten/changed/", account.password_reset_from_key_done, name="account_reset_password_from_key_done"),
    re_path(
        "^forgotten/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$",
        account.password_reset_from_key,
        name="account_reset_password_from_key",
    ),
    path("second-factor/", include("allauth.mfa.urls")),
    path("sessions/", include("allauth.usersessions.urls")),
]
