from decimal import Decimal

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("annotation", "0020_used_at")]
    operations = [
        migrations.AddField(
            "study",
            "pay_per_hour",
            models.DecimalField(
                "pay for an hour",
                blank=True,
                decimal_places=2,
                help_text="Annotators read it before they consent, and the page of the opening says what the study will cost. Empty: neither.",
                max_digits=9,
                null=True,
                validators=[
                    django.core.validators.MinValueValidator(Decimal("0.01")),
                    django.core.validators.MaxValueValidator(Decimal("1000000")),
                ],
            ),
        ),
        migrations.AddField(
            "study",
            "pay_currency",
            models.CharField("currency of the pay", blank=True, help_text="Such as EUR.", max_length=10),
        ),
    ]
