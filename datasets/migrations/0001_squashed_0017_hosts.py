"""All tables of this app, for a new site: the single steps took longer than all else of its first start.

A site that stands takes those of the steps that it lacks.
"""

import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    replaces = [('datasets', '0001_initial'), ('datasets', '0002_set_aside'), ('datasets', '0003_core'), ('datasets', '0004_cues'), ('datasets', '0005_release_texts'), ('datasets', '0006_pair_numbers'), ('datasets', '0007_display_changes'), ('datasets', '0008_pair_changes'), ('datasets', '0009_other_answers'), ('datasets', '0011_told_hash'), ('datasets', '0013_file_names'), ('datasets', '0014_project_changes'), ('datasets', '0015_sent_forms'), ('datasets', '0016_pictures_and_merges'), ('datasets', '0017_hosts')]

    initial = True

    dependencies = [
        ('auth', '__first__'),
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
        migrations.CreateModel(
            name='Project',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('slug', models.SlugField(max_length=60, unique=True)),
                ('name', models.CharField(max_length=120)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('last_pair_number', models.PositiveIntegerField(default=0, editable=False)),
                ('closed_at', models.DateTimeField(blank=True, editable=False, null=True)),
            ],
            options={
                'ordering': ['name'],
            },
        ),
        migrations.CreateModel(
            name='SentForm',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.UUIDField()),
                ('led_to', models.CharField(blank=True, max_length=500)),
                ('sent_at', models.DateTimeField(auto_now_add=True)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'indexes': [models.Index(fields=['sent_at'], name='sent_form_age')],
                'constraints': [models.UniqueConstraint(fields=('user', 'key'), name='one_sent_form_per_key')],
            },
        ),
        migrations.CreateModel(
            name='Membership',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('role', models.CharField(choices=[('annotator', 'Annotator'), ('researcher', 'Researcher'), ('admin', 'Admin')], max_length=12)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to=settings.AUTH_USER_MODEL)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to='datasets.project')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('project', 'user'), name='one_role_per_project'), models.CheckConstraint(condition=models.Q(('role__in', ['annotator', 'researcher', 'admin'])), name='membership_role_is_known')],
            },
        ),
        migrations.CreateModel(
            name='PairChange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('pair', models.PositiveBigIntegerField()),
                ('anonymized_path', models.CharField(max_length=400)),
                ('verb', models.CharField(choices=[('changed', 'Changed'), ('merged', 'group merged'), ('removed', 'Removed')], max_length=10)),
                ('before', models.JSONField()),
                ('after', models.JSONField()),
                ('at', models.DateTimeField(auto_now_add=True)),
                ('by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='pair_changes', to=settings.AUTH_USER_MODEL)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='pair_changes', to='datasets.project')),
            ],
            options={
                'ordering': ['-at', '-pk'],
            },
        ),
        migrations.CreateModel(
            name='Job',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('kind', models.CharField(max_length=40)),
                ('lane', models.CharField(default='short', max_length=10)),
                ('arguments', models.JSONField(default=dict)),
                ('state', models.CharField(choices=[('queued', 'Queued'), ('running', 'Running'), ('done', 'Done'), ('failed', 'Failed'), ('cancelled', 'Cancelled')], default='queued', max_length=10)),
                ('attempt', models.PositiveIntegerField(default=0)),
                ('n_deaths', models.PositiveSmallIntegerField(default=0)),
                ('n_returns', models.PositiveSmallIntegerField(default=0)),
                ('queued_at', models.DateTimeField()),
                ('leased_until', models.DateTimeField(blank=True, null=True)),
                ('n_done', models.PositiveBigIntegerField(default=0)),
                ('n_total', models.PositiveBigIntegerField(blank=True, null=True)),
                ('cancel_requested', models.BooleanField(default=False)),
                ('result', models.JSONField(blank=True, default=dict)),
                ('error', models.TextField(blank=True)),
                ('traceback', models.TextField(blank=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('started_at', models.DateTimeField(blank=True, null=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('created_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='jobs', to=settings.AUTH_USER_MODEL)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='jobs', to='datasets.project')),
            ],
            options={
                'ordering': ['-created_at'],
                'indexes': [models.Index(fields=['state', 'leased_until'], name='job_lease')],
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('state', 'running'), _negated=True), ('leased_until__isnull', False), _connector='OR'), name='running_job_has_a_lease')],
            },
        ),
        migrations.CreateModel(
            name='Image',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sha256', models.CharField(max_length=64)),
                ('original', models.FileField(max_length=200, upload_to='')),
                ('display_sha256', models.CharField(max_length=64)),
                ('display', models.FileField(max_length=200, upload_to='')),
                ('content_type', models.CharField(max_length=20)),
                ('width', models.PositiveIntegerField()),
                ('height', models.PositiveIntegerField()),
                ('changes', models.JSONField(blank=True, null=True)),
                ('n_bytes', models.PositiveBigIntegerField()),
                ('look', models.BigIntegerField(blank=True, null=True)),
                ('alike', models.PositiveBigIntegerField(blank=True, null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('renews', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='renewed', to='datasets.image')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='images', to='datasets.project')),
            ],
            options={
                'constraints': [models.UniqueConstraint(condition=models.Q(('renews', None)), fields=('project', 'sha256'), name='one_image_per_hash')],
            },
        ),
        migrations.CreateModel(
            name='ProjectChange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('closed', 'project closed'), ('reopened', 'project reopened'), ('deleted', 'study deleted')], max_length=8)),
                ('facts', models.JSONField(default=dict)),
                ('at', models.DateTimeField(auto_now_add=True)),
                ('by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='project_changes', to=settings.AUTH_USER_MODEL)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='changes', to='datasets.project')),
            ],
            options={
                'ordering': ['-at', '-pk'],
            },
        ),
        migrations.CreateModel(
            name='Release',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('slug', models.SlugField(max_length=70)),
                ('version', models.PositiveIntegerField()),
                ('title', models.CharField(max_length=160)),
                ('mode', models.CharField(choices=[('HA1', 'HA1: the anonymized picture alone'), ('HA2', 'HA2: beside its original')], max_length=3)),
                ('scale_min', models.FloatField(default=1)),
                ('scale_max', models.FloatField(default=10)),
                ('direction', models.SmallIntegerField(default=1)),
                ('simulated', models.BooleanField(default=False)),
                ('origins', models.JSONField(default=dict)),
                ('counting_rule', models.TextField()),
                ('pseudonym_key', models.CharField(max_length=64)),
                ('agreement', models.JSONField(default=dict)),
                ('content_hash', models.CharField(blank=True, max_length=64)),
                ('format', models.PositiveSmallIntegerField(default=1)),
                ('facts', models.JSONField(default=dict)),
                ('readme', models.TextField(blank=True)),
                ('told_hash', models.CharField(blank=True, max_length=64)),
                ('frozen_at', models.DateTimeField(null=True)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='releases', to='datasets.project')),
            ],
            options={
                'ordering': ['slug', '-version'],
                'constraints': [models.UniqueConstraint(fields=('project', 'slug', 'version'), name='one_release_per_version'), models.CheckConstraint(condition=models.Q(('direction__in', [-1, 1])), name='release_direction_is_up_or_down'), models.CheckConstraint(condition=models.Q(('scale_min__lt', models.F('scale_max'))), name='release_scale_has_a_range'), models.CheckConstraint(condition=models.Q(('frozen_at', None), models.Q(('content_hash', ''), _negated=True), _connector='OR'), name='frozen_release_has_a_hash')],
            },
        ),
        migrations.CreateModel(
            name='Source',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=80)),
                ('licence', models.CharField(blank=True, max_length=120)),
                ('citation', models.TextField(blank=True)),
                ('legal_basis', models.TextField(blank=True)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='sources', to='datasets.project')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('project', 'name'), name='one_source_per_name')],
            },
        ),
        migrations.CreateModel(
            name='OtherAnswer',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('pair', models.PositiveIntegerField()),
                ('annotator', models.CharField(max_length=24)),
                ('purpose', models.CharField(max_length=8)),
                ('occurrence', models.PositiveSmallIntegerField()),
                ('score', models.FloatField()),
                ('seconds', models.FloatField(null=True)),
                ('position', models.PositiveIntegerField()),
                ('is_late', models.BooleanField()),
                ('n_revisions', models.PositiveSmallIntegerField()),
                ('release', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='other_answers', to='datasets.release')),
            ],
            options={
                'ordering': ['release', 'pair', 'annotator', 'occurrence'],
                'constraints': [models.UniqueConstraint(fields=('release', 'pair', 'annotator', 'occurrence'), name='one_other_answer_per_occurrence')],
            },
        ),
        migrations.CreateModel(
            name='Label',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('pair', models.PositiveIntegerField()),
                ('original_sha256', models.CharField(blank=True, max_length=64)),
                ('anonymized_sha256', models.CharField(max_length=64)),
                ('original_file', models.CharField(blank=True, max_length=400)),
                ('anonymized_file', models.CharField(blank=True, max_length=400)),
                ('group', models.CharField(max_length=120)),
                ('public_group', models.CharField(max_length=120)),
                ('part', models.CharField(max_length=5)),
                ('source', models.CharField(max_length=80)),
                ('method', models.CharField(blank=True, max_length=40)),
                ('scope', models.CharField(blank=True, max_length=20)),
                ('parameters', models.JSONField(default=dict)),
                ('n', models.PositiveIntegerField()),
                ('mean', models.FloatField()),
                ('median', models.FloatField()),
                ('std', models.FloatField(null=True)),
                ('corrected', models.FloatField(null=True)),
                ('corrected_se', models.FloatField(null=True)),
                ('is_core', models.BooleanField(null=True)),
                ('anonymized', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='datasets.image')),
                ('original', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='datasets.image')),
                ('release', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='labels', to='datasets.release')),
            ],
            options={
                'ordering': ['release', 'number'],
                'constraints': [models.UniqueConstraint(fields=('release', 'number'), name='one_label_per_row'), models.UniqueConstraint(fields=('release', 'pair'), name='one_label_per_pair')],
            },
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
        migrations.CreateModel(
            name='ReleaseNotice',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('withdrawn', 'a person withdrew'), ('removed', 'a picture was removed'), ('retracted', 'the release is retracted')], max_length=10)),
                ('text', models.TextField()),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('release', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='notices', to='datasets.release')),
            ],
            options={
                'ordering': ['created_at'],
            },
        ),
        migrations.CreateModel(
            name='SetAsideRating',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('pair', models.PositiveIntegerField()),
                ('group', models.CharField(max_length=120)),
                ('annotator', models.CharField(max_length=24)),
                ('score', models.FloatField()),
                ('release', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='set_aside', to='datasets.release')),
            ],
            options={
                'ordering': ['release', 'pair', 'annotator'],
                'constraints': [models.UniqueConstraint(fields=('release', 'pair', 'annotator'), name='one_set_aside_rating_per_pair')],
            },
        ),
        migrations.CreateModel(
            name='Pair',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField(editable=False)),
                ('group', models.CharField(max_length=120)),
                ('method', models.CharField(blank=True, max_length=40)),
                ('scope', models.CharField(blank=True, max_length=20)),
                ('parameters', models.JSONField(blank=True, default=dict)),
                ('original_path', models.CharField(blank=True, max_length=400)),
                ('anonymized_path', models.CharField(max_length=400)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('anonymized', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='pairs_as_anonymized', to='datasets.image')),
                ('original', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='pairs_as_original', to='datasets.image')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='pairs', to='datasets.project')),
                ('source', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='pairs', to='datasets.source')),
            ],
            options={
                'indexes': [models.Index(fields=['project', 'group'], name='pair_group')],
                'constraints': [models.UniqueConstraint(fields=('project', 'number'), name='one_number_per_pair'), models.UniqueConstraint(fields=('project', 'original', 'anonymized'), name='one_pair_per_two_images'), models.UniqueConstraint(condition=models.Q(('original', None)), fields=('project', 'anonymized'), name='one_lone_pair_per_image'), models.CheckConstraint(condition=models.Q(('group', ''), _negated=True), name='pair_has_a_group')],
            },
        ),
        migrations.CreateModel(
            name='FrozenRating',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('annotator', models.CharField(max_length=24)),
                ('occurrence', models.PositiveSmallIntegerField(default=0)),
                ('score', models.FloatField()),
                ('seconds', models.FloatField(null=True)),
                ('position', models.PositiveIntegerField(null=True)),
                ('is_late', models.BooleanField(default=False)),
                ('n_revisions', models.PositiveSmallIntegerField(default=1)),
                ('label', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='ratings', to='datasets.label')),
            ],
            options={
                'ordering': ['label', 'annotator', 'occurrence'],
                'constraints': [models.UniqueConstraint(fields=('label', 'annotator', 'occurrence'), name='one_frozen_rating_per_occurrence')],
            },
        ),
        migrations.AddField(
            model_name='project',
            name='members',
            field=models.ManyToManyField(related_name='projects', through='datasets.Membership', to=settings.AUTH_USER_MODEL),
        ),
    ]
