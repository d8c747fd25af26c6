from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('datasets', '0009_other_answers'),
    ]

    operations = [
        migrations.AlterField(
            model_name='pairchange',
            name='verb',
            field=models.CharField(choices=[('changed', 'Changed'), ('merged', 'group merged'), ('removed', 'Removed')], max_length=10),
        ),
    ]
