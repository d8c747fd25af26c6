import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('datasets', '0015_sent_forms'),
    ]

    operations = [
        migrations.AlterField(
            model_name='pairchange',
            name='verb',
            field=models.CharField(choices=[('changed', 'Changed'), ('merged', 'group merged'), ('removed', 'Removed')], max_length=10),
        ),
        migrations.RemoveConstraint(
            model_name='image',
            name='one_image_per_hash',
        ),
        migrations.AddField(
            model_name='image',
            name='renews',
            field=models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='renewed', to='datasets.image'),
        ),
        migrations.AddConstraint(
            model_name='image',
            constraint=models.UniqueConstraint(condition=models.Q(('renews', None)), fields=('project', 'sha256'), name='one_image_per_hash'),
        ),
        migrations.AddField(
            model_name='image',
            name='look',
            field=models.BigIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='image',
            name='alike',
            field=models.PositiveBigIntegerField(blank=True, null=True),
        ),
    ]
