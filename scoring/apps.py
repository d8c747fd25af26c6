from django.apps import AppConfig


class ScoringConfig(AppConfig):
    name = "scoring"

    def ready(self) -> None:
        from scoring import tasks  # noqa: F401  registers the kinds of job this app runs
