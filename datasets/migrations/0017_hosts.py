from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('datasets', '0016_pictures_and_merges'),
    ]

    operations = [
        migrations.CreateModel(
            name='SharedFact',
            fields=[
                ('name', models.CharField(max_length=40, primary_key=True, serialize=False)),
                ('value', models.CharField(max_length=64)),
                ('recorded_at', models.DateTimeField(auto_now=True)),
            ],
        ),
        migrations.CreateModel(
            name='Worker',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('host', models.CharField(max_length=255)),
                ('lanes', models.JSONField()),
                ('started_at', models.DateTimeField(auto_now_add=True)),
                ('seen_at', models.DateTimeField()),
            ],
        ),
        migrations.AddField(
            model_name='job',
            name='n_returns',
            field=models.PositiveSmallIntegerField(default=0),
        ),
    ]
