"""All tables of this app, for a new site: the single steps took longer than all else of its first start.

A site that stands takes those of the steps that it lacks.
"""

import annotation.models.people
import annotation.models.studies
import django.core.validators
import django.db.models.deletion
import uuid
from decimal import Decimal
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    replaces = [('annotation', '0001_initial'), ('annotation', '0002_rules_of_assignment'), ('annotation', '0003_count_answers'), ('annotation', '0004_fewer_indexes'), ('annotation', '0005_quality'), ('annotation', '0006_viewing'), ('annotation', '0007_said_beside'), ('annotation', '0008_before_and_after'), ('annotation', '0009_withdrawal_codes'), ('annotation', '0010_withdrawal_code_required'), ('annotation', '0011_seconds_of_the_first_answer'), ('annotation', '0012_completion_changes'), ('annotation', '0013_cues'), ('annotation', '0014_settings_told_on_the_model'), ('annotation', '0015_every_session_is_set_aside'), ('annotation', '0016_roles_not_marks'), ('annotation', '0017_changes_of_roles'), ('annotation', '0018_preregistration'), ('annotation', '0019_words_of_settings'), ('annotation', '0020_used_at'), ('annotation', '0022_pay'), ('annotation', '0023_newest_renewal')]

    initial = True

    dependencies = [
        ('auth', '__first__'),
        ('datasets', '0001_squashed_0017_hosts'),
    ]

    operations = [
        migrations.CreateModel(
            name='Annotator',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('pseudonym', models.CharField(default=annotation.models.people.new_pseudonym, max_length=24)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='annotators', to='datasets.project')),
                ('user', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='annotators', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('project', 'user'), name='one_annotator_per_user'), models.UniqueConstraint(fields=('project', 'pseudonym'), name='one_annotator_per_pseudonym')],
            },
        ),
        migrations.CreateModel(
            name='Campaign',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('slug', models.SlugField(max_length=60)),
                ('name', models.CharField(max_length=120)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='campaigns', to='datasets.project')),
            ],
            options={
                'ordering': ['name'],
                'constraints': [models.UniqueConstraint(fields=('project', 'slug'), name='one_campaign_per_slug')],
            },
        ),
        migrations.CreateModel(
            name='Study',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('mode', models.CharField(choices=[('HA1', 'HA1: the anonymized picture alone'), ('HA2', 'HA2: beside its original')], max_length=3)),
                ('name', models.CharField(max_length=120)),
                ('state', models.CharField(choices=[('draft', 'Draft'), ('open', 'Open'), ('paused', 'Paused'), ('closed', 'Closed')], default='draft', max_length=6)),
                ('simulated', models.BooleanField(default=False)),
                ('language', models.CharField(default='en', help_text='English begins with a standard wording, others with an empty one. Further languages can be added.', max_length=10, verbose_name='language of its wording')),
                ('goal', models.PositiveSmallIntegerField(default=5, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(1000)], verbose_name='ratings wanted per pair')),
                ('session_size', models.PositiveSmallIntegerField(default=30, help_text='All that one person sees in one go; it should fit into half an hour.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(10000)], verbose_name='pairs per session')),
                ('seconds_per_pair', models.PositiveSmallIntegerField(default=12, help_text='What annotators are told to expect.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(600)], verbose_name='seconds per pair')),
                ('n_practice', models.PositiveSmallIntegerField(default=0, help_text='At the beginning, with feedback. While too few are marked as practice, pairs that count fill in.', validators=[django.core.validators.MinValueValidator(0), django.core.validators.MaxValueValidator(1000)], verbose_name='practice pairs')),
                ('n_warm_up', models.PositiveSmallIntegerField(default=5, help_text='The first pairs after practice: people find their scale with them, and they do not count.', validators=[django.core.validators.MinValueValidator(0), django.core.validators.MaxValueValidator(1000)], verbose_name='warm-up pairs')),
                ('n_checks', models.PositiveSmallIntegerField(default=0, help_text='Pairs whose answer is plain, or that ask for a certain score. While too few are marked as checks, pairs that count fill in.', validators=[django.core.validators.MinValueValidator(0), django.core.validators.MaxValueValidator(1000)], verbose_name='checks')),
                ('repeat_percent', models.PositiveSmallIntegerField(default=5, help_text='Pairs shown a second time, to see how far people agree with themselves. They do not count twice.', validators=[django.core.validators.MinValueValidator(0), django.core.validators.MaxValueValidator(50)], verbose_name='repeats, in percent of the session')),
                ('repeat_distance', models.PositiveSmallIntegerField(default=20, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(10000)], verbose_name='pairs between a pair and its repeat, at least')),
                ('allows_swipe', models.BooleanField(default=True, help_text='In HA2, and only for whoever asks for it. The two pictures side by side are always offered.', verbose_name='swipe: one picture over the other, with a divider to move')),
                ('allows_flicker', models.BooleanField(default=True, help_text='Nothing alternates by itself.', verbose_name='flicker: one picture in the place of the other while a key or button is held')),
                ('confirms_on_press', models.BooleanField(default=False, help_text='Quicker, and easier to get wrong; the last answer can always be changed.', verbose_name='a score is the answer as soon as it is pressed')),
                ('asks_who', models.BooleanField(default=False, help_text='No, think so, or yes; never a name. Beside the note that everybody may leave.', verbose_name='offer to say whether one knows who or where this is')),
                ('asks_cues', models.BooleanField(default=False, help_text='On the anonymized picture, optional for each pair; they come with the ratings and into releases.', verbose_name='ask for boxes on what gives a person or a place away')),
                ('side', models.CharField(choices=[('left', 'always left'), ('right', 'always right'), ('balanced', 'left and right equally often, by lot')], default='left', help_text='In HA2; HA1 shows no original.', max_length=8, verbose_name='side of the original')),
                ('spacing', models.PositiveSmallIntegerField(default=5, help_text='Only where a session is longer than there are originals; otherwise nobody sees an original twice.', validators=[django.core.validators.MinValueValidator(0), django.core.validators.MaxValueValidator(10000)], verbose_name='pairs between versions of one original, at least')),
                ('lease_seconds', models.PositiveIntegerField(default=1800, help_text='After that it may be given to somebody else; a later answer is still kept.', validators=[django.core.validators.MinValueValidator(60), django.core.validators.MaxValueValidator(86400)], verbose_name='seconds a pair waits for its answer')),
                ('person_limit', models.PositiveIntegerField(blank=True, help_text='More than a session lets whoever has finished one begin another. Empty: one session each.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(1000000)], verbose_name='pairs per person in all, at most')),
                ('pay_per_hour', models.DecimalField(blank=True, decimal_places=2, help_text='Annotators read it before they consent, and the page of the opening says what the study will cost. Empty: neither.', max_digits=9, null=True, validators=[django.core.validators.MinValueValidator(Decimal('0.01')), django.core.validators.MaxValueValidator(Decimal('1000000'))], verbose_name='pay for an hour')),
                ('pay_currency', models.CharField(blank=True, help_text='Such as EUR.', max_length=10, verbose_name='currency of the pay')),
                ('completion_code', models.CharField(blank=True, help_text='For people sent by a panel: shown on the last page to whoever has finished, and to nobody else.', max_length=60)),
                ('completion_url', models.CharField(blank=True, help_text='A link on the last page, back to the panel.', max_length=500, validators=[django.core.validators.URLValidator(message='Enter an address that begins with https:// or http://.', schemes=['http', 'https'])], verbose_name='address to go back to')),
                ('stops_adaptively', models.BooleanField(default=False, help_text='Pairs on which people happen to agree stop early, so agreement looks better than it is.', verbose_name='stop each pair when its interval is narrow enough')),
                ('min_ratings', models.PositiveSmallIntegerField(default=5, validators=[django.core.validators.MinValueValidator(2), django.core.validators.MaxValueValidator(1000)], verbose_name='never with fewer ratings than')),
                ('max_ratings', models.PositiveSmallIntegerField(default=15, validators=[django.core.validators.MinValueValidator(2), django.core.validators.MaxValueValidator(1000)], verbose_name='always with')),
                ('half_width', models.FloatField(default=0.75, validators=[django.core.validators.MinValueValidator(0.05), django.core.validators.MaxValueValidator(9)], verbose_name='half width of the 95 % interval that is enough, in score points')),
                ('is_ordered_by_model', models.BooleanField(default=False, help_text='What is rated first then depends on the model that is to be judged by these ratings.', verbose_name='give out first the pairs whose score, as the model in use predicts it, is rare')),
                ('core_percent', models.PositiveSmallIntegerField(default=20, help_text='Drawn by lot when the study opens. Neither rule above touches it: its figures stay unbiased.', validators=[django.core.validators.MinValueValidator(0), django.core.validators.MaxValueValidator(100)], verbose_name='core, in percent of the originals')),
                ('window', models.PositiveSmallIntegerField(default=3, help_text="Pairs that are sent to a person's browser at a time.", validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(20)])),
                ('seed', models.BigIntegerField(default=annotation.models.studies.new_seed)),
                ('newest_renewal', models.PositiveBigIntegerField(default=0, editable=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('opened_at', models.DateTimeField(blank=True, null=True)),
                ('closed_at', models.DateTimeField(blank=True, null=True)),
                ('campaign', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='studies', to='annotation.campaign')),
            ],
            options={
                'verbose_name_plural': 'studies',
                'ordering': ['campaign', 'mode'],
                'constraints': [models.UniqueConstraint(fields=('campaign', 'mode'), name='one_study_per_mode'), models.CheckConstraint(condition=models.Q(('goal__gte', 1)), name='study_goal_is_positive'), models.CheckConstraint(condition=models.Q(('session_size__gte', 1)), name='study_session_is_not_empty'), models.CheckConstraint(condition=models.Q(('window__range', (1, 20))), name='study_window_is_1_to_20'), models.CheckConstraint(condition=models.Q(('repeat_percent__lte', 50)), name='study_repeats_at_most_half'), models.CheckConstraint(condition=models.Q(('core_percent__lte', 100)), name='study_core_is_a_percentage'), models.CheckConstraint(condition=models.Q(('max_ratings__gte', models.F('min_ratings')), ('min_ratings__gte', 2)), name='study_stops_between_min_and_max')],
            },
        ),
        migrations.CreateModel(
            name='Invitation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('token', models.CharField(default=annotation.models.people.new_token, editable=False, max_length=32, unique=True)),
                ('kind', models.CharField(choices=[('many', 'for many people'), ('personal', 'for one person')], default='many', max_length=8)),
                ('note', models.CharField(blank=True, max_length=120)),
                ('used_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('study', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='invitations', to='annotation.study')),
            ],
            options={
                'ordering': ['created_at'],
            },
        ),
        migrations.CreateModel(
            name='Item',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('group', models.CharField(max_length=120)),
                ('goal', models.PositiveSmallIntegerField()),
                ('n_held', models.PositiveIntegerField(default=0)),
                ('n_rated', models.PositiveIntegerField(default=0)),
                ('shuffle', models.BigIntegerField()),
                ('priority', models.FloatField(blank=True, null=True)),
                ('state', models.CharField(choices=[('open', 'Open'), ('withdrawn', 'Withdrawn')], default='open', max_length=9)),
                ('role', models.CharField(choices=[('main', 'Main'), ('check', 'Check'), ('practice', 'Practice')], default='main', max_length=8)),
                ('is_core', models.BooleanField(default=True)),
                ('expected_low', models.PositiveSmallIntegerField(blank=True, null=True)),
                ('expected_high', models.PositiveSmallIntegerField(blank=True, null=True)),
                ('instructed_score', models.PositiveSmallIntegerField(blank=True, null=True)),
                ('pair', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='items', to='datasets.pair')),
                ('study', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='items', to='annotation.study')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('n_held__lt', models.F('goal'))), fields=['study', 'n_held', 'shuffle'], name='item_draw'), models.Index(condition=models.Q(('role', 'main'), _negated=True), fields=['study', 'role', 'shuffle'], name='item_check_draw'), models.Index(condition=models.Q(('priority', None), _negated=True), fields=['study', '-priority'], name='item_priority'), models.Index(fields=['study', 'group'], name='item_group')],
                'constraints': [models.UniqueConstraint(fields=('study', 'pair'), name='one_item_per_pair'), models.CheckConstraint(condition=models.Q(('n_rated__lte', models.F('n_held'))), name='item_rated_is_held'), models.CheckConstraint(condition=models.Q(('role', 'main'), ('goal', 0), _connector='OR'), name='item_check_has_no_goal'), models.CheckConstraint(condition=models.Q(models.Q(('expected_high', None), ('expected_low', None)), models.Q(('expected_high__lte', 10), ('expected_low__gte', 1), ('expected_low__lte', models.F('expected_high'))), _connector='OR'), name='item_expected_range_is_on_the_scale'), models.CheckConstraint(condition=models.Q(('instructed_score', None), models.Q(('instructed_score__gte', 1), ('instructed_score__lte', 10)), _connector='OR'), name='item_instructed_score_is_1_to_10'), models.CheckConstraint(condition=models.Q(('shuffle__gte', 0), ('shuffle__lt', 2147483648)), name='item_is_on_the_ring')],
            },
        ),
        migrations.CreateModel(
            name='Preregistration',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('headline', models.CharField(choices=[('interval', "Krippendorff's alpha, interval"), ('ordinal', "Krippendorff's alpha, ordinal"), ('nominal', "Krippendorff's alpha, nominal")], default='interval', max_length=8)),
                ('rule', models.JSONField(blank=True, default=dict)),
                ('fixed', models.JSONField(editable=False, null=True)),
                ('sha256', models.CharField(blank=True, editable=False, max_length=64)),
                ('fixed_at', models.DateTimeField(editable=False, null=True)),
                ('study', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='preregistration', to='annotation.study')),
            ],
        ),
        migrations.CreateModel(
            name='StudyChange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('state', 'State'), ('goal', 'Goal'), ('pairs', 'pairs added'), ('plan', 'preregistration changed'), ('roles', 'roles changed'), ('withdraw', 'pair withdrawn'), ('complete', 'last page changed')], max_length=8)),
                ('before', models.JSONField(null=True)),
                ('after', models.JSONField(null=True)),
                ('reason', models.TextField(blank=True)),
                ('changed_at', models.DateTimeField(auto_now_add=True)),
                ('changed_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('study', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='changes', to='annotation.study')),
            ],
            options={
                'ordering': ['changed_at', 'pk'],
            },
        ),
        migrations.CreateModel(
            name='StudyText',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('language', models.CharField(default='en', max_length=10)),
                ('kind', models.CharField(choices=[('question', 'Question'), ('low_label', 'Low Label'), ('high_label', 'High Label'), ('reference_note', 'Reference Note'), ('instructions', 'Instructions'), ('consent', 'Consent'), ('end', 'End')], max_length=14)),
                ('version', models.PositiveSmallIntegerField(default=1)),
                ('body', models.TextField()),
                ('sha256', models.CharField(editable=False, max_length=64)),
                ('shown_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('study', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='texts', to='annotation.study')),
            ],
            options={
                'ordering': ['study', 'kind', 'language', 'version'],
                'constraints': [models.UniqueConstraint(fields=('study', 'language', 'kind', 'version'), name='one_text_per_version')],
            },
        ),
        migrations.CreateModel(
            name='Participation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('language', models.CharField(default='en', max_length=10)),
                ('seed', models.BigIntegerField(default=annotation.models.studies.new_seed)),
                ('withdrawal_code', models.CharField(default=annotation.models.people.new_withdrawal_code, editable=False, max_length=12, unique=True)),
                ('conditions', models.JSONField(blank=True, default=dict)),
                ('n_planned', models.PositiveIntegerField()),
                ('n_answered', models.PositiveIntegerField(default=0)),
                ('leased_until', models.DateTimeField(blank=True, null=True)),
                ('consented_at', models.DateTimeField()),
                ('instructed_at', models.DateTimeField(blank=True, null=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('withdrawn_at', models.DateTimeField(blank=True, null=True)),
                ('annotator', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='participations', to='annotation.annotator')),
                ('campaign', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='participations', to='annotation.campaign')),
                ('invitation', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='participations', to='annotation.invitation')),
                ('study', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='participations', to='annotation.study')),
                ('consent_text', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='annotation.studytext')),
            ],
            options={
                'indexes': [models.Index(fields=['study', 'consented_at'], name='participation_study')],
                'constraints': [models.UniqueConstraint(fields=('campaign', 'annotator'), name='one_study_of_a_campaign_per_person')],
            },
        ),
        migrations.CreateModel(
            name='Flag',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('reason', models.CharField(choices=[('failed_instructions', 'instructions not followed'), ('failed_checks', 'checks failed'), ('inconsistent', 'rates the same pair differently'), ('fast', 'very fast'), ('hidden', 'page in the background'), ('straight_lining', 'the same score again and again'), ('drift', 'scores change with the position'), ('disagrees', 'rates unlike the others')], max_length=19)),
                ('evidence', models.JSONField(default=dict)),
                ('is_current', models.BooleanField(default=True)),
                ('raised_at', models.DateTimeField(auto_now_add=True)),
                ('settled_at', models.DateTimeField(blank=True, null=True)),
                ('settlement', models.TextField(blank=True)),
                ('settled_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('participation', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='flags', to='annotation.participation')),
            ],
            options={
                'ordering': ['participation', 'reason'],
                'constraints': [models.UniqueConstraint(fields=('participation', 'reason'), name='one_flag_per_reason')],
            },
        ),
        migrations.CreateModel(
            name='Decision',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('use', 'used in releases'), ('pay', 'paid')], max_length=4)),
                ('verdict', models.BooleanField()),
                ('reason', models.TextField()),
                ('effect', models.JSONField(blank=True, default=dict)),
                ('decided_at', models.DateTimeField(auto_now_add=True)),
                ('decided_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('participation', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='decisions', to='annotation.participation')),
            ],
            options={
                'ordering': ['decided_at', 'pk'],
            },
        ),
        migrations.CreateModel(
            name='Card',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('figures', models.JSONField()),
                ('assessed_at', models.DateTimeField()),
                ('participation', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='card', to='annotation.participation')),
            ],
        ),
        migrations.CreateModel(
            name='Assignment',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('occurrence', models.PositiveSmallIntegerField(default=0)),
                ('purpose', models.CharField(choices=[('practice', 'Practice'), ('warm_up', 'warm-up'), ('main', 'Main'), ('check', 'Check'), ('repeat', 'Repeat')], default='main', max_length=8)),
                ('position', models.PositiveIntegerField()),
                ('original_side', models.CharField(choices=[('left', 'Left'), ('right', 'Right')], default='left', max_length=5)),
                ('reason', models.CharField(max_length=24)),
                ('draw_start', models.BigIntegerField(blank=True, null=True)),
                ('draw_n_held', models.PositiveIntegerField(blank=True, null=True)),
                ('original_key', models.UUIDField(default=uuid.uuid4, editable=False, null=True, unique=True)),
                ('anonymized_key', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('reserved_at', models.DateTimeField()),
                ('served_at', models.DateTimeField(blank=True, null=True)),
                ('painted_at', models.DateTimeField(blank=True, null=True)),
                ('answered_at', models.DateTimeField(blank=True, null=True)),
                ('returned_at', models.DateTimeField(blank=True, null=True)),
                ('skipped_at', models.DateTimeField(blank=True, null=True)),
                ('item', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='assignments', to='annotation.item')),
                ('participation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='assignments', to='annotation.participation')),
            ],
            options={
                'ordering': ['participation', 'position'],
                'indexes': [models.Index(condition=models.Q(('answered_at', None)), fields=['participation', 'position'], name='assignment_unanswered')],
                'constraints': [models.UniqueConstraint(fields=('participation', 'item', 'occurrence'), name='one_assignment_per_occurrence'), models.UniqueConstraint(fields=('participation', 'position'), name='one_assignment_per_position')],
            },
        ),
        migrations.CreateModel(
            name='Rating',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('score', models.PositiveSmallIntegerField()),
                ('seconds', models.FloatField(null=True)),
                ('hidden_seconds', models.FloatField(null=True)),
                ('is_late', models.BooleanField(default=False)),
                ('viewing', models.JSONField(null=True)),
                ('created_at', models.DateTimeField()),
                ('assignment', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='rating', to='annotation.assignment')),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('score__gte', 1), ('score__lte', 10)), name='rating_score_is_1_to_10'), models.CheckConstraint(condition=models.Q(('seconds', None), ('seconds__gte', 0), _connector='OR'), name='rating_seconds_not_negative')],
            },
        ),
        migrations.CreateModel(
            name='Report',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('cannot_tell', 'I cannot say'), ('broken', 'the picture is broken or does not load'), ('distressing', 'the picture distresses me'), ('other', 'another reason')], max_length=11)),
                ('words', models.TextField(blank=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('settled_at', models.DateTimeField(blank=True, null=True)),
                ('assignment', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='report', to='annotation.assignment')),
            ],
            options={
                'ordering': ['-created_at'],
            },
        ),
        migrations.CreateModel(
            name='Remark',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('note', models.TextField(blank=True)),
                ('knows', models.CharField(blank=True, choices=[('no', 'No'), ('maybe', 'think so'), ('yes', 'Yes')], max_length=5)),
                ('rating', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='remark', to='annotation.rating')),
            ],
        ),
        migrations.CreateModel(
            name='Revision',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveSmallIntegerField()),
                ('key', models.UUIDField(unique=True)),
                ('score', models.PositiveSmallIntegerField()),
                ('seconds', models.FloatField(null=True)),
                ('created_at', models.DateTimeField()),
                ('rating', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='revisions', to='annotation.rating')),
            ],
            options={
                'ordering': ['rating', 'number'],
                'constraints': [models.UniqueConstraint(fields=('rating', 'number'), name='one_revision_per_number'), models.CheckConstraint(condition=models.Q(('score__gte', 1), ('score__lte', 10)), name='revision_score_is_1_to_10')],
            },
        ),
        migrations.CreateModel(
            name='Cue',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('face', 'Face'), ('body', 'Body'), ('text', 'Text'), ('vehicle', 'Vehicle'), ('place', 'Place'), ('object', 'Object'), ('other', 'Other')], max_length=8)),
                ('x', models.PositiveIntegerField()),
                ('y', models.PositiveIntegerField()),
                ('width', models.PositiveIntegerField()),
                ('height', models.PositiveIntegerField()),
                ('revision', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='cues', to='annotation.revision')),
            ],
            options={
                'ordering': ['revision', 'pk'],
                'constraints': [models.CheckConstraint(condition=models.Q(('height__gte', 1), ('width__gte', 1)), name='cue_is_not_empty')],
            },
        ),
    ]
