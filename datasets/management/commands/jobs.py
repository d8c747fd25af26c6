from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from datasets.jobs import cancel_job, retry_job
from datasets.management.following import found_job
from datasets.models.jobs import Job
from datasets.telling import TellingCommand


class Command(TellingCommand):
    help = "List the newest jobs; cancel or retry one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--cancel", metavar="JOB", help="the job's id, or its beginning")
        what.add_argument("--retry", metavar="JOB", help="the job's id, or its beginning")

    def handle(self, *args: Any, cancel: str | None, retry: str | None, **options: Any) -> None:
        if cancel is not None:
            job = found_job(Job.objects.all(), cancel)
            if job.is_finished:
                raise CommandError(f"{job} is {job.get_state_display()} already; there is nothing to cancel.")
            cancel_job(job)
            self.stdout.write(f"{job} will stop at its next step.")
        elif retry is not None:
            job = found_job(Job.objects.all(), retry)
            retry_job(job)
            self.stdout.write(f"{job} is queued again.")
        else:
            for job in Job.objects.select_related("project")[:20]:
                done = f"{job.n_done}/{job.n_total or '?'}"
                self.stdout.write(f"{job.public_id}  {job.project.slug}  {job.kind}  {job.state}  {done}  {job.error}")
