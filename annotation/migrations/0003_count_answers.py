from django.db import migrations
from django.db.models import Count, Exists, F, OuterRef, Subquery
from django.db.models.functions import Coalesce, Now


def fill_in(apps, schema_editor):
    """People who have begun: how many answers they gave, and that what they hold waits for them from now."""
    assignments = apps.get_model("annotation", "Assignment").objects
    participations = apps.get_model("annotation", "Participation").objects
    assignments.update(served_at=F("reserved_at"))
    answered = assignments.filter(participation=OuterRef("pk")).exclude(answered_at=None)
    n_answered = answered.order_by().values("participation").annotate(n=Count("pk")).values("n")
    participations.update(n_answered=Coalesce(Subquery(n_answered), 0))
    held = assignments.filter(participation=OuterRef("pk"), answered_at=None, returned_at=None)
    participations.filter(Exists(held)).update(leased_until=Now())


class Migration(migrations.Migration):
    dependencies = [("annotation", "0002_rules_of_assignment")]

    operations = [migrations.RunPython(fill_in, migrations.RunPython.noop)]
