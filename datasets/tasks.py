"""What the queue calls. Importing this module registers the kinds of job that this app does."""

from django_tasks import task

from datasets import export, ingest, jobs  # noqa: F401


@task(queue_name="short")
def run_job(job_id: int) -> None:
    jobs.run(job_id)
