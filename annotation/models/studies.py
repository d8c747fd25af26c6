import secrets
import uuid
from decimal import Decimal
from hashlib import sha256
from typing import Any, Self
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.validators import BaseValidator, MaxValueValidator, MinValueValidator, URLValidator
from django.db import models

from datasets.models.pictures import Pair
from datasets.models.projects import Project, managed_through
from datasets.models.releases import Mode, Release, ReleaseQuerySet

MIN_SCORE, MAX_SCORE = 1, 10
MAX_GOAL = 1000  # ratings of one pair
SCORES = range(MIN_SCORE, MAX_SCORE + 1)
# Items are drawn from a random start on a ring of this many places.
RING = 2**31


def new_seed() -> int:
    return secrets.randbits(62)


# A link that people follow: never a script, a mail or a file.
web_address = URLValidator(schemes=["http", "https"], message="Enter an address that begins with https:// or http://.")


def between(least: float | Decimal, most: float | Decimal) -> list[BaseValidator]:
    """Validators of a number from `least` to `most`, both included."""
    return [MinValueValidator(least), MaxValueValidator(most)]


class TextAlreadyShown(Exception):
    """A text that somebody has read cannot change; a new version can be added."""


class Campaign(models.Model):
    """Joins an HA1 and an HA2 study over the same pairs: a person takes part in one of them only."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="campaigns")
    slug = models.SlugField(max_length=60)
    name = models.CharField(max_length=120)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["project", "slug"], name="one_campaign_per_slug")]

    def __str__(self) -> str:
        return self.name


class StudyQuerySet(models.QuerySet["Study"]):
    def managed_by(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        return self.filter(managed_through("campaign__project", user))

    def open_to(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        """Studies that this member may rate in, whatever the role; where a program rates, people do not."""
        return self.filter(campaign__project__memberships__user_id=user.pk, state=Study.State.OPEN, simulated=False)


class Study(models.Model):
    class State(models.TextChoices):
        DRAFT = "draft"
        OPEN = "open"
        PAUSED = "paused"
        CLOSED = "closed"

    class SideRule(models.TextChoices):
        LEFT = "left", "always left"
        RIGHT = "right", "always right"
        BALANCED = "balanced", "left and right equally often, by lot"

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="studies")
    mode = models.CharField(max_length=3, choices=Mode)
    name = models.CharField(max_length=120)
    state = models.CharField(max_length=6, choices=State, default=State.DRAFT)
    simulated = models.BooleanField(default=False)
    # The settings. Their names, help, ranges and defaults stand here alone: forms, commands, the forecast and the table
    # in docs/researchers.md read them. `annotation.studies.settings` says under which headings they are asked for.
    language = models.CharField(
        "language of its wording",
        max_length=10,
        default="en",
        help_text="English begins with a standard wording, others with an empty one. Further languages can be added.",
    )
    goal = models.PositiveSmallIntegerField("ratings wanted per pair", default=5, validators=between(1, MAX_GOAL))
    session_size = models.PositiveSmallIntegerField(
        "pairs per session",
        default=30,
        validators=between(1, 10_000),
        help_text="All that one person sees in one go; it should fit into half an hour.",
    )
    seconds_per_pair = models.PositiveSmallIntegerField(
        "seconds per pair",
        default=12,
        validators=between(1, 600),
        help_text="What annotators are told to expect.",
    )
    n_practice = models.PositiveSmallIntegerField(
        "practice pairs",
        default=0,
        validators=between(0, 1000),
        help_text="At the beginning, with feedback. While too few are marked as practice, pairs that count fill in.",
    )
    n_warm_up = models.PositiveSmallIntegerField(
        "warm-up pairs",
        default=5,
        validators=between(0, 1000),
        help_text="The first pairs after practice: people find their scale with them, and they do not count.",
    )
    n_checks = models.PositiveSmallIntegerField(
        "checks",
        default=0,
        validators=between(0, 1000),
        help_text="Pairs whose answer is plain, or that ask for a certain score. While too few are marked as checks, "
        "pairs that count fill in.",
    )
    repeat_percent = models.PositiveSmallIntegerField(
        "repeats, in percent of the session",
        default=5,
        validators=between(0, 50),
        help_text="Pairs shown a second time, to see how far people agree with themselves. They do not count twice.",
    )
    repeat_distance = models.PositiveSmallIntegerField(
        "pairs between a pair and its repeat, at least", default=20, validators=between(1, 10_000)
    )
    # Ways to compare in HA2 beyond the two pictures side by side.
    allows_swipe = models.BooleanField(
        "swipe: one picture over the other, with a divider to move",
        default=True,
        help_text="In HA2, and only for whoever asks for it. The two pictures side by side are always offered.",
    )
    allows_flicker = models.BooleanField(
        "flicker: one picture in the place of the other while a key or button is held",
        default=True,
        help_text="Nothing alternates by itself.",
    )
    confirms_on_press = models.BooleanField(
        "a score is the answer as soon as it is pressed",
        default=False,
        help_text="Quicker, and easier to get wrong; the last answer can always be changed.",
    )
    asks_who = models.BooleanField(
        "offer to say whether one knows who or where this is",
        default=False,
        help_text="No, think so, or yes; never a name. Beside the note that everybody may leave.",
    )
    asks_cues = models.BooleanField(
        "ask for boxes on what gives a person or a place away",
        default=False,
        help_text="On the anonymized picture, optional for each pair; they come with the ratings and into releases.",
    )
    side = models.CharField(
        "side of the original",
        max_length=8,
        choices=SideRule,
        default=SideRule.LEFT,
        help_text="In HA2; HA1 shows no original.",
    )
    spacing = models.PositiveSmallIntegerField(
        "pairs between versions of one original, at least",
        default=5,
        validators=between(0, 10_000),
        help_text="Only where a session is longer than there are originals; otherwise nobody sees an original twice.",
    )
    lease_seconds = models.PositiveIntegerField(
        "seconds a pair waits for its answer",
        default=1800,
        validators=between(60, 86_400),
        help_text="After that it may be given to somebody else; a later answer is still kept.",
    )
    person_limit = models.PositiveIntegerField(
        "pairs per person in all, at most",
        null=True,
        blank=True,
        validators=between(1, 1_000_000),
        help_text="More than a session lets whoever has finished one begin another. Empty: one session each.",
    )
    pay_per_hour = models.DecimalField(
        "pay for an hour",
        max_digits=9,
        decimal_places=2,
        null=True,
        blank=True,
        validators=between(Decimal("0.01"), Decimal(1_000_000)),
        help_text="Annotators read it before they consent, and the page of the opening says what the study will cost. "
        "Empty: neither.",
    )
    pay_currency = models.CharField("currency of the pay", max_length=10, blank=True, help_text="Such as EUR.")
    # What the last page gives to whoever has finished, for the panel that sent them.
    completion_code = models.CharField(
        max_length=60,
        blank=True,
        help_text="For people sent by a panel: shown on the last page to whoever has finished, and to nobody else.",
    )
    completion_url = models.CharField(
        "address to go back to",
        max_length=500,
        blank=True,
        validators=[web_address],
        help_text="A link on the last page, back to the panel.",
    )
    # Stopping adaptively and ordering by a model bias figures: off by default, and they never touch the core.
    stops_adaptively = models.BooleanField(
        "stop each pair when its interval is narrow enough",
        default=False,
        help_text="Pairs on which people happen to agree stop early, so agreement looks better than it is.",
    )
    min_ratings = models.PositiveSmallIntegerField(
        "never with fewer ratings than", default=5, validators=between(2, MAX_GOAL)
    )
    max_ratings = models.PositiveSmallIntegerField("always with", default=15, validators=between(2, MAX_GOAL))
    half_width = models.FloatField(
        "half width of the 95 % interval that is enough, in score points",
        default=0.75,
        validators=between(0.05, MAX_SCORE - MIN_SCORE),
    )
    is_ordered_by_model = models.BooleanField(
        "give out first the pairs whose score, as the model in use predicts it, is rare",
        default=False,
        help_text="What is rated first then depends on the model that is to be judged by these ratings.",
    )
    core_percent = models.PositiveSmallIntegerField(
        "core, in percent of the originals",
        default=20,
        validators=between(0, 100),
        help_text="Drawn by lot when the study opens. Neither rule above touches it: its figures stay unbiased.",
    )
    # Nobody is asked for these.
    window = models.PositiveSmallIntegerField(
        default=3, validators=between(1, 20), help_text="Pairs that are sent to a person's browser at a time."
    )
    seed = models.BigIntegerField(default=new_seed)
    # The id of the newest image of its project that renewed another when the study first opened: of what is renewed
    # from then on it goes on showing the file that its people have seen (`annotation.studies.displays`).
    newest_renewal = models.PositiveBigIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    opened_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    objects = StudyQuerySet.as_manager()

    class Meta:
        ordering = ["campaign", "mode"]
        verbose_name_plural = "studies"
        constraints = [
            models.UniqueConstraint(fields=["campaign", "mode"], name="one_study_per_mode"),
            models.CheckConstraint(condition=models.Q(goal__gte=1), name="study_goal_is_positive"),
            models.CheckConstraint(condition=models.Q(session_size__gte=1), name="study_session_is_not_empty"),
            models.CheckConstraint(condition=models.Q(window__range=(1, 20)), name="study_window_is_1_to_20"),
            models.CheckConstraint(condition=models.Q(repeat_percent__lte=50), name="study_repeats_at_most_half"),
            models.CheckConstraint(condition=models.Q(core_percent__lte=100), name="study_core_is_a_percentage"),
            models.CheckConstraint(
                condition=models.Q(min_ratings__gte=2, max_ratings__gte=models.F("min_ratings")),
                name="study_stops_between_min_and_max",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def project(self) -> Project:
        return self.campaign.project

    @property
    def short_name(self) -> str:
        """What its files are called, and what people type where something about it cannot be taken back."""
        return f"{self.campaign.slug}-{self.mode}"

    def releases(self) -> ReleaseQuerySet:
        """Those frozen from it."""
        return Release.objects.frozen().filter(project=self.campaign.project_id, origins__study_id=self.public_id.hex)

    @property
    def is_open(self) -> bool:
        return self.state == self.State.OPEN

    @property
    def has_core(self) -> bool:
        """Whether a rule that biases figures is on, and with it a core of originals that it never touches."""
        return self.stops_adaptively or self.is_ordered_by_model

    @property
    def completion_host(self) -> str:
        """Whose page the link at the end leads to, in a word."""
        return urlsplit(self.completion_url).hostname or ""

    @property
    def has_begun(self) -> bool:
        return self.opened_at is not None


class StudyText(models.Model):
    """One version of one text of a study. Once somebody has seen it, it never changes."""

    class Kind(models.TextChoices):
        QUESTION = "question"
        LOW_LABEL = "low_label"
        HIGH_LABEL = "high_label"
        REFERENCE_NOTE = "reference_note"  # HA2: what the original is for
        INSTRUCTIONS = "instructions"
        CONSENT = "consent"
        END = "end"

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="texts")
    language = models.CharField(max_length=10, default="en")
    kind = models.CharField(max_length=14, choices=Kind)
    version = models.PositiveSmallIntegerField(default=1)
    body = models.TextField()
    sha256 = models.CharField(max_length=64, editable=False)
    shown_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["study", "kind", "language", "version"]
        constraints = [
            models.UniqueConstraint(fields=["study", "language", "kind", "version"], name="one_text_per_version"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} v{self.version} ({self.language})"

    @property
    def edition(self) -> str:
        """Which text of its kind this is in its study, for a form to name: no row's number leaves the site."""
        return f"{self.language}.{self.version}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        digest = sha256(self.body.encode()).hexdigest()
        if self.shown_at and self.sha256 and digest != self.sha256:
            raise TextAlreadyShown(
                f"{self} has been shown to annotators; save the new wording as version {self.version + 1}."
            )
        self.sha256 = digest
        super().save(*args, **kwargs)


class StudyChange(models.Model):
    """What was changed in a study, by whom and when."""

    class Kind(models.TextChoices):
        STATE = "state"
        GOAL = "goal"
        PAIRS = "pairs", "pairs added"
        PREREGISTRATION = "plan", "preregistration changed"
        ROLES = "roles", "roles changed"
        WITHDRAWN = "withdraw", "pair withdrawn"
        COMPLETION = "complete", "last page changed"

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="changes")
    kind = models.CharField(max_length=8, choices=Kind)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    reason = models.TextField(blank=True)
    changed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    changed_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["changed_at", "pk"]

    def __str__(self) -> str:
        return f"{self.study}: {self.get_kind_display()}, {self.before} to {self.after}"


class ItemQuerySet(models.QuerySet["Item"]):
    def resting_on_groups(self) -> Self:
        """Those whose pairs keep their groups: people have been given pairs by them."""
        return self.exclude(study__opened_at=None)

    def rated(self) -> Self:
        """The study proper: without the pairs that only serve as checks or for practice."""
        return self.filter(role=Item.Role.MAIN)

    def wanting_ratings(self) -> Self:
        return self.filter(state=Item.State.OPEN, n_held__lt=models.F("goal"))


class Item(models.Model):
    """A pair in a study. `n_held` counts answers and leases together, so that no goal is overshot."""

    class State(models.TextChoices):
        OPEN = "open"
        WITHDRAWN = "withdrawn"

    class Role(models.TextChoices):
        MAIN = "main"
        CHECK = "check"
        PRACTICE = "practice"

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="items", db_index=False)
    pair = models.ForeignKey(Pair, on_delete=models.PROTECT, related_name="items")
    group = models.CharField(max_length=120)  # the pair's, here so that a draw needs no join
    goal = models.PositiveSmallIntegerField()
    n_held = models.PositiveIntegerField(default=0)
    n_rated = models.PositiveIntegerField(default=0)
    shuffle = models.BigIntegerField()  # place on the ring, 0 <= shuffle < RING
    priority = models.FloatField(null=True, blank=True)
    state = models.CharField(max_length=9, choices=State, default=State.OPEN)
    # Checks and practice pairs have the goal 0: they are drawn by their own rules and never count.
    role = models.CharField(max_length=8, choices=Role, default=Role.MAIN)
    # Chosen before the first rating; adaptive stop and model ordering never touch it.
    is_core = models.BooleanField(default=True)
    # Where an unmistakable pair must be rated if it is to serve as a check.
    expected_low = models.PositiveSmallIntegerField(null=True, blank=True)
    expected_high = models.PositiveSmallIntegerField(null=True, blank=True)
    # An explicit-instruction check asks in so many words for this score.
    instructed_score = models.PositiveSmallIntegerField(null=True, blank=True)

    objects = ItemQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["study", "pair"], name="one_item_per_pair"),
            models.CheckConstraint(condition=models.Q(n_rated__lte=models.F("n_held")), name="item_rated_is_held"),
            models.CheckConstraint(condition=models.Q(role="main") | models.Q(goal=0), name="item_check_has_no_goal"),
            models.CheckConstraint(
                condition=models.Q(expected_low=None, expected_high=None)
                | models.Q(
                    expected_low__gte=MIN_SCORE,
                    expected_low__lte=models.F("expected_high"),
                    expected_high__lte=MAX_SCORE,
                ),
                name="item_expected_range_is_on_the_scale",
            ),
            models.CheckConstraint(
                condition=models.Q(instructed_score=None)
                | models.Q(instructed_score__gte=MIN_SCORE, instructed_score__lte=MAX_SCORE),
                name="item_instructed_score_is_1_to_10",
            ),
            models.CheckConstraint(condition=models.Q(shuffle__gte=0, shuffle__lt=RING), name="item_is_on_the_ring"),
        ]
        indexes = [
            # Only items that want ratings: a study that nears its end is not walked from end to end at each draw.
            models.Index(
                fields=["study", "n_held", "shuffle"],
                condition=models.Q(n_held__lt=models.F("goal")),
                name="item_draw",
            ),
            models.Index(fields=["study", "role", "shuffle"], condition=~models.Q(role="main"), name="item_check_draw"),
            # Studies that look for the narrowest interval last: the widest first.
            models.Index(fields=["study", "-priority"], condition=~models.Q(priority=None), name="item_priority"),
            models.Index(fields=["study", "group"], name="item_group"),
        ]

    def __str__(self) -> str:
        return f"{self.study}: {self.pair}"

    def passes(self, score: float) -> bool | None:
        """Whether a score is what this check or practice pair asks for; None where it asks for nothing."""
        if self.instructed_score is not None:
            return score == self.instructed_score
        if self.expected_low is None or self.expected_high is None:
            return None
        return self.expected_low <= score <= self.expected_high
