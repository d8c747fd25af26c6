from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('annotation', '0011_seconds_of_the_first_answer'),
    ]

    operations = [
        migrations.AlterField(
            model_name='studychange',
            name='kind',
            field=models.CharField(choices=[('state', 'State'), ('goal', 'Goal'), ('pairs', 'pairs added'), ('plan', 'plan changed'), ('marks', 'pairs marked'), ('withdraw', 'pair withdrawn'), ('complete', 'last page changed')], max_length=8),
        ),
    ]
