from django.db import migrations


def call_them_roles(apps, schema_editor):
    apps.get_model('annotation', 'StudyChange').objects.filter(kind='marks').update(kind='roles')


def call_them_marks(apps, schema_editor):
    apps.get_model('annotation', 'StudyChange').objects.filter(kind='roles').update(kind='marks')


class Migration(migrations.Migration):

    dependencies = [
        ('annotation', '0016_roles_not_marks'),
    ]

    operations = [
        migrations.RunPython(call_them_roles, call_them_marks),
    ]
