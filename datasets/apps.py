from django.apps import AppConfig


class DatasetsConfig(AppConfig):
    name = "datasets"

    def ready(self) -> None:
        from datasets import tasks  # noqa: F401  registers the kinds of job this app runs
