from django.core.management.base import CommandError

from scoring.models import TrainingRun


def named_run(name: str) -> TrainingRun:
    """A run by the beginning of its id."""
    runs = TrainingRun.objects.with_lineage()
    found = [run for run in runs if name and str(run.public_id).startswith(name.lower())]
    if len(found) == 1:
        return found[0]
    known = "\n".join(f"  {run.public_id}  {run.release}  {run.job.state}" for run in runs[:20]) or "  none yet"
    raise CommandError(f"{'Several runs begin' if found else 'No run begins'} with {name!r}. The newest runs:\n{known}")
