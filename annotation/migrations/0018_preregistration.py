import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """What a study fixes before its first rating is called by one word. What is stored stays as it is."""

    dependencies = [
        ('annotation', '0017_changes_of_roles'),
    ]

    operations = [
        migrations.RenameModel('StudyPlan', 'Preregistration'),
        migrations.AlterField(
            model_name='preregistration',
            name='study',
            field=models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='preregistration', to='annotation.study'),
        ),
        migrations.AlterField(
            model_name='studychange',
            name='kind',
            field=models.CharField(choices=[('state', 'State'), ('goal', 'Goal'), ('pairs', 'pairs added'), ('plan', 'preregistration changed'), ('roles', 'roles changed'), ('withdraw', 'pair withdrawn'), ('complete', 'last page changed')], max_length=8),
        ),
    ]
