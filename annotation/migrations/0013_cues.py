import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Nothing has used cues until now, so their table is made anew: they belong to a revision, not to its rating."""

    dependencies = [
        ('annotation', '0012_completion_changes'),
    ]

    operations = [
        migrations.AddField(
            model_name='study',
            name='asks_cues',
            field=models.BooleanField(default=False),
        ),
        migrations.DeleteModel(
            name='Cue',
        ),
        migrations.CreateModel(
            name='Cue',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('face', 'Face'), ('body', 'Body'), ('text', 'Text'), ('vehicle', 'Vehicle'), ('place', 'Place'), ('object', 'Object'), ('other', 'Other')], max_length=8)),
                ('x', models.PositiveIntegerField()),
                ('y', models.PositiveIntegerField()),
                ('width', models.PositiveIntegerField()),
                ('height', models.PositiveIntegerField()),
                ('revision', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='cues', to='annotation.revision')),
            ],
            options={
                'ordering': ['revision', 'pk'],
                'constraints': [models.CheckConstraint(condition=models.Q(('height__gte', 1), ('width__gte', 1)), name='cue_is_not_empty')],
            },
        ),
    ]
