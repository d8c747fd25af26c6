from django.db import migrations


class Migration(migrations.Migration):
    """Whoever goes on in a study that drew as they went has the rest of their session set aside at their next turn."""

    dependencies = [
        ('annotation', '0014_settings_told_on_the_model'),
    ]

    operations = [
        migrations.RemoveField(
            model_name='study',
            name='reserves_session',
        ),
    ]
