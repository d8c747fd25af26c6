import django.utils.timezone
from django.db import migrations, models

import datasets.models.audit

# No entry is ever changed, and none goes within its first 30 days, whatever AUDIT_KEEP_DAYS says and whoever asks: an
# account that could delete what it has just done would leave no trace. A later migration that makes SQLite copy this
# table loses the triggers with the old one, and has to make them again.
SQLITE = [
    """
    CREATE TRIGGER audit_entries_stay BEFORE UPDATE ON datasets_auditentry
    BEGIN SELECT RAISE(ABORT, 'an entry of the audit log is never changed'); END
    """,
    """
    CREATE TRIGGER audit_entries_are_kept BEFORE DELETE ON datasets_auditentry
    WHEN OLD.at >= datetime('now', '-30 days')
    BEGIN SELECT RAISE(ABORT, 'an entry of the audit log is kept for 30 days at least'); END
    """,
]
POSTGRESQL = [
    """
    CREATE OR REPLACE FUNCTION datasets_audit_keeps() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF TG_OP = 'DELETE' THEN
        IF OLD.at < now() - interval '30 days' THEN RETURN OLD; END IF;
        RAISE EXCEPTION 'an entry of the audit log is kept for 30 days at least' USING ERRCODE = 'integrity_constraint_violation';
      END IF;
      RAISE EXCEPTION 'an entry of the audit log is never changed' USING ERRCODE = 'integrity_constraint_violation';
    END $$
    """,
    """
    CREATE TRIGGER audit_entries_stay BEFORE UPDATE OR DELETE ON datasets_auditentry
    FOR EACH ROW EXECUTE FUNCTION datasets_audit_keeps()
    """,
    """
    CREATE TRIGGER audit_entries_are_kept BEFORE TRUNCATE ON datasets_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION datasets_audit_keeps()
    """,
]


def guard(apps, schema_editor):
    for statement in POSTGRESQL if schema_editor.connection.vendor == "postgresql" else SQLITE:
        schema_editor.execute(statement)


def leave_unguarded(apps, schema_editor):
    """The triggers go with the table; what they call, by itself."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP FUNCTION datasets_audit_keeps() CASCADE")


class Migration(migrations.Migration):

    dependencies = [
        ('datasets', '0019_no_release_keys'),
    ]

    operations = [
        migrations.CreateModel(
            name='AuditEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('what', models.CharField(choices=datasets.models.audit.whats, max_length=40)),
                ('role', models.CharField(choices=[('superuser', 'Superuser'), ('project admin', 'Admin'), ('researcher', 'Researcher'), ('staff', 'Staff'), ('user', 'User'), ('annotator', 'Annotator'), ('visitor', 'Visitor'), ('command', 'Command')], max_length=20)),
                ('user_number', models.PositiveBigIntegerField(null=True)),
                ('user_name', models.CharField(blank=True, max_length=150)),
                ('kind', models.CharField(blank=True, max_length=60)),
                ('object_id', models.CharField(blank=True, max_length=60)),
                ('object_name', models.CharField(blank=True, max_length=200)),
                ('project_number', models.PositiveBigIntegerField(null=True)),
                ('project_name', models.CharField(blank=True, max_length=120)),
                ('before', models.JSONField(null=True)),
                ('after', models.JSONField(null=True)),
                ('once', models.CharField(editable=False, max_length=64, null=True, unique=True)),
            ],
            options={
                'verbose_name_plural': 'audit entries',
                'ordering': ['-at', '-pk'],
                'indexes': [models.Index(fields=['project_number', 'at'], name='audit_project'), models.Index(fields=['what', 'at'], name='audit_what'), models.Index(fields=['at'], name='audit_at')],
            },
        ),
        migrations.RunPython(guard, leave_unguarded),
    ]
