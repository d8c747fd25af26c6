from django.db import migrations, models

# Of django-axes, which counted wrong passwords before: they hold names and addresses.
TABLES = ("axes_accessattemptexpiration", "axes_accessattempt", "axes_accessfailurelog", "axes_accesslog")


class Migration(migrations.Migration):

    dependencies = [
        ('datasets', '0017_hosts'),
    ]

    operations = [
        migrations.CreateModel(
            name='Tally',
            fields=[
                ('key', models.CharField(max_length=64, primary_key=True, serialize=False)),
                ('n', models.PositiveIntegerField(default=0)),
                ('ends_at', models.DateTimeField()),
            ],
            options={
                'indexes': [models.Index(fields=['ends_at'], name='tally_age')],
            },
        ),
        migrations.RunSQL([f'DROP TABLE IF EXISTS {table}' for table in TABLES], migrations.RunSQL.noop),
    ]
