from django.contrib.admin.apps import AdminConfig


class GuardedAdminConfig(AdminConfig):
    default_site = "config.admin.GuardedSite"

    def ready(self) -> None:
        super().ready()
        from config import logins  # noqa: F401  they are heard from here on
