import json
import math
import subprocess
import sys
from dataclasses import asdict
from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.recipe import BACKBONES, BadRecipe, Recipe, recipe_from

MEANS = np.array([1, 1.5, 2.5, 3.49, 4.5, 5.5, 6.51, 9.5, 10])
ROUNDED = [1, 2, 2, 3, 4, 6, 7, 10, 10]  # half to even
CLASSES = {"target": "labels10", "task": "classification"}


def test_the_defaults_are_the_papers():
    recipe = asdict(Recipe(mode="HA1"))
    paper = {
        "backbone": "resnet50",
        "weights": "imagenet",
        "target": "mean",
        "task": "regression",
        "scheme": "all",
        "split_seed": 42,
        "epochs": 200,
        "batch_size": 128,
        "size": 224,
        "optimizer": "sgd",
        "lr": 0.01,
        "momentum": 0.9,
        "weight_decay": 0,
        "schedule": "cosine",
        "flip": True,
        "rotation": 10,
        "scale_min": 1,
        "scale_max": 10,
    }
    assert {name: recipe[name] for name in paper} == paper


def test_both_pictures_of_a_pair_move_together_unless_asked_otherwise():
    assert Recipe(mode="HA2").paired is True


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mode", "HA3"),
        ("mode", "ha1"),
        ("backbone", "resnet34"),
        ("weights", "best"),
        ("target", "median"),
        ("task", "ranking"),
        ("optimizer", "lion"),
        ("schedule", "none"),
        ("scheme", "some"),
        ("scheme", "loov-"),
        ("epochs", 0),
        ("epochs", 10_001),
        ("batch_size", 0),
        ("batch_size", 4097),
        ("size", 31),
        ("size", 1025),
        ("lr", 0.0),
        ("lr", -0.1),
        ("lr", 10.5),
        ("momentum", -0.1),
        ("momentum", 1.0),
        ("weight_decay", -1e-4),
        ("weight_decay", 2),
        ("rotation", -1),
        ("rotation", 181),
        ("seed", -1),
        ("seed", 2**31),
        ("split_seed", -1),
        ("scale_max", 1),
        ("scale_max", 0.5),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_fields_name(field, value):
    with pytest.raises(BadRecipe) as refusal:
        recipe_from({"mode": "HA1", field: value})
    assert refusal.value.field == field
    assert str(value) in str(refusal.value) or field in str(refusal.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mode", None),
        ("mode", 1),
        ("mode", ["HA1"]),
        ("scheme", 7),
        ("epochs", "200"),
        ("epochs", 2.0),
        ("epochs", True),
        ("epochs", None),
        ("seed", False),
        ("lr", "0.01"),
        ("lr", True),
        ("lr", None),
        ("lr", [0.1]),
        ("lr", math.nan),
        ("lr", math.inf),
        ("scale_min", -math.inf),
        ("rotation", math.nan),
        ("flip", 1),
        ("flip", "yes"),
        ("paired", None),
    ],
)
def test_a_value_of_another_type_or_no_finite_number_is_refused_by_its_fields_name(field, value):
    with pytest.raises(BadRecipe, match=field) as refusal:
        recipe_from({"mode": "HA1", field: value})
    assert refusal.value.field == field


def test_a_whole_number_of_any_length_where_a_float_belongs_is_taken_or_refused():
    assert recipe_from({"mode": "HA1", "lr": 1}).lr == 1.0
    with pytest.raises(BadRecipe) as refusal:
        recipe_from({"mode": "HA1", "lr": 10**400})
    assert refusal.value.field == "lr"


def test_the_largest_seed_is_named_digit_by_digit():
    with pytest.raises(BadRecipe, match="2147483647"):
        Recipe(mode="HA1", seed=2**31)


def test_a_field_that_no_recipe_has_is_refused_by_its_name():
    with pytest.raises(BadRecipe, match=r"'learning_rate'.*weight_decay") as refusal:
        recipe_from({"mode": "HA1", "learning_rate": 0.1})
    assert refusal.value.field == "learning_rate"


@pytest.mark.parametrize("data", [None, [], "HA1", 3, [{"mode": "HA1"}]])
def test_what_is_no_json_object_is_no_recipe(data):
    with pytest.raises(BadRecipe, match="JSON object"):
        recipe_from(data)


def test_a_recipe_needs_a_mode():
    with pytest.raises(BadRecipe, match="HA1 or HA2") as refusal:
        recipe_from({"epochs": 3})
    assert refusal.value.field == "mode"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"target": "mean", "task": "classification"}, "task"),
        ({"target": "labels10", "scale_max": 7}, "target"),
        ({"target": "labels10", "scale_min": 0}, "target"),
        ({"backbone": "tiny"}, "weights"),
        ({"backbone": "tiny", "weights": "imagenet"}, "weights"),
        ({"backbone": "vit_b_16", "size": 256}, "size"),
    ],
)
def test_values_that_do_not_go_together_are_refused_with_the_field_to_change(changes, field):
    with pytest.raises(BadRecipe, match=field) as refusal:
        recipe_from({"mode": "HA1", **changes})
    assert refusal.value.field == field


def test_a_picture_too_small_for_alexnet_is_refused():
    # At 32 pixels its last pooling has nothing left to pool, and training would break off with a traceback.
    with pytest.raises(BadRecipe) as refusal:
        Recipe(mode="HA1", backbone="alexnet", size=32)
    assert refusal.value.field == "size"


def test_another_scale_than_1_to_10_trains_on_the_mean():
    assert Recipe(mode="HA1", scale_min=0, scale_max=100).outputs == 1


@given(
    st.fixed_dictionaries(
        {
            "mode": st.sampled_from(["HA1", "HA2"]),
            "backbone": st.sampled_from([name for name in BACKBONES if name not in {"tiny", "alexnet", "vit_b_16"}]),
            "weights": st.sampled_from(["imagenet", "random"]),
            "lr": st.floats(1e-12, 10) | st.integers(1, 10),
            "seed": st.integers(0, 2**31 - 1),
            "scheme": st.sampled_from(["all", "task-face", "loov-öffentlich", "anon-mask"]),
            "flip": st.booleans(),
            "size": st.integers(32, 1024),
        }
    )
)
def test_a_recipe_survives_its_json(data):
    recipe = recipe_from(data)
    assert recipe_from(json.loads(recipe.to_json())) == recipe


def test_a_recipe_cannot_be_changed():
    with pytest.raises(AttributeError):
        Recipe(mode="HA1").epochs = 3


# What is learnt, and what the network says ---------------------------------------------------------------------------


def test_the_mean_is_learnt_as_a_number_from_0_to_1_and_comes_back():
    recipe = Recipe(mode="HA1")
    assert recipe.targets(MEANS) == pytest.approx((MEANS - 1) / 9)
    assert recipe.scores(recipe.targets(MEANS)[:, None]) == pytest.approx(MEANS)
    assert recipe.target_scores(MEANS) == pytest.approx(MEANS)


def test_another_scale_is_learnt_from_0_to_1_too_and_comes_back_as_itself():
    recipe = Recipe(mode="HA1", scale_min=-2, scale_max=2)
    assert recipe.targets(np.array([-2.0, 0, 2])).tolist() == [0, 0.5, 1]
    assert recipe.scores(np.array([[0.0], [0.5], [1]])).tolist() == [-2, 0, 2]


def test_ten_classes_are_the_rounded_means_half_to_even():
    recipe = Recipe(mode="HA1", **CLASSES)
    targets = recipe.targets(MEANS)
    assert targets.tolist() == [score - 1 for score in ROUNDED]
    assert np.issubdtype(targets.dtype, np.integer)
    assert recipe.target_scores(MEANS).tolist() == ROUNDED
    assert recipe.outputs == 10


def test_ten_labels_by_regression_are_divided_by_the_highest_class():
    recipe = Recipe(mode="HA1", target="labels10")
    assert recipe.targets(MEANS) == pytest.approx([(score - 1) / 9 for score in ROUNDED])
    assert recipe.scores(recipe.targets(MEANS)[:, None]) == pytest.approx(ROUNDED)
    assert recipe.target_scores(MEANS).tolist() == ROUNDED
    assert recipe.outputs == 1


@given(st.decimals(1, 10, places=2))
def test_rounding_agrees_with_decimal_arithmetic(mean):
    expected = int(mean.quantize(Decimal(1), ROUND_HALF_EVEN))
    assert Recipe(mode="HA1", **CLASSES).targets(np.array([float(mean)])).tolist() == [expected - 1]


def test_a_class_prediction_is_the_score_of_the_likeliest_class():
    logits = np.full((3, 10), -1.0)
    logits[0, 0] = logits[1, 9] = logits[2, 4] = 2
    assert Recipe(mode="HA1", **CLASSES).scores(logits).tolist() == [1, 10, 5]


def test_validating_a_recipe_needs_neither_torch_nor_django():
    code = "import sys, scoring.recipe; print({'torch', 'torchvision', 'django'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
