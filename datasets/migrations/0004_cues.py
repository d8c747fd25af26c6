import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Nothing has used cues until now, so their table is made anew, for those of ratings that are set aside too."""

    dependencies = [
        ('datasets', '0003_core'),
    ]

    operations = [
        migrations.DeleteModel(
            name='FrozenCue',
        ),
        migrations.CreateModel(
            name='FrozenCue',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('pair', models.PositiveIntegerField()),
                ('annotator', models.CharField(max_length=24)),
                ('kind', models.CharField(choices=[('face', 'Face'), ('body', 'Body'), ('text', 'Text'), ('vehicle', 'Vehicle'), ('place', 'Place'), ('object', 'Object'), ('other', 'Other')], max_length=8)),
                ('x', models.PositiveIntegerField()),
                ('y', models.PositiveIntegerField()),
                ('width', models.PositiveIntegerField()),
                ('height', models.PositiveIntegerField()),
                ('image_width', models.PositiveIntegerField()),
                ('image_height', models.PositiveIntegerField()),
                ('is_set_aside', models.BooleanField(default=False)),
                ('release', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='cues', to='datasets.release')),
            ],
            options={
                'ordering': ['release', 'pair', 'annotator', 'pk'],
            },
        ),
    ]
