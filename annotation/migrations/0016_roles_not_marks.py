from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('annotation', '0015_every_session_is_set_aside'),
    ]

    operations = [
        migrations.AlterField(
            model_name='studychange',
            name='kind',
            field=models.CharField(choices=[('state', 'State'), ('goal', 'Goal'), ('pairs', 'pairs added'), ('plan', 'plan changed'), ('roles', 'roles changed'), ('withdraw', 'pair withdrawn'), ('complete', 'last page changed')], max_length=8),
        ),
    ]
