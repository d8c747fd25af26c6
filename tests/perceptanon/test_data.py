import shutil
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as published

from scoring.perceptanon.data import Examples, Pictures, augmented, draw, normalised, read_labels
from scoring.perceptanon.failures import CannotTrain
from scoring.perceptanon.folder import train_folder
from scoring.recipe import Recipe
from tests.perceptanon.make import examples, label, noise, recipe, row, write_labels, write_recipe

# Labels --------------------------------------------------------------------------------------------------------------


def test_rows_that_a_scheme_leaves_out_take_no_part(folder):
    write_labels(folder, [*(label(pair) for pair in range(5)), label(5, split="")])
    assert [row.pair for row in read_labels(folder, Recipe(mode="HA2"))] == [0, 1, 2, 3, 4]


def test_labels_that_are_not_there_are_asked_for(tmp_path):
    with pytest.raises(CannotTrain, match=f"no labels.csv in {tmp_path}; unpack a release"):
        read_labels(tmp_path, Recipe(mode="HA1"))


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([label(0, split="training")], "has a split 'training'"),
        ([label(0), label(0)], "names a pair twice"),
        ([label(0, split="train"), label(1, split="val")], "none falls into test"),
        ([], "none falls into train and val and test"),
        ([label(0, score_mean="nan")], "finite number"),
    ],
)
def test_labels_that_cannot_be_trained_on_are_refused_in_plain_words(folder, rows, reason):
    write_labels(folder, rows)
    with pytest.raises(CannotTrain, match=reason):
        read_labels(folder, Recipe(mode="HA1"))


def test_ha2_needs_an_original_to_every_pair_and_ha1_none(folder):
    write_labels(folder, [label(pair, original_path="" if pair == 4 else "original/0.png") for pair in range(5)])
    assert len(read_labels(folder, Recipe(mode="HA1"))) == 5
    with pytest.raises(CannotTrain, match=r"pair 4 in labels\.csv has none; train HA1"):
        read_labels(folder, Recipe(mode="HA2"))


@pytest.mark.parametrize("task", [{}, {"target": "labels10", "task": "classification"}], ids=["mean", "classes"])
@pytest.mark.parametrize("mean", [0, 12])
def test_a_mean_outside_the_recipes_scale_is_refused_in_plain_words(folder, mean, task):
    write_labels(folder, [label(pair, score_mean=mean if pair == 1 else 5) for pair in range(5)])
    write_recipe(folder, **task)
    with pytest.raises(CannotTrain, match="score_mean"):
        train_folder(folder, pictures=folder, weights=None, device="cpu", say=print)


# Pictures ------------------------------------------------------------------------------------------------------------


def test_a_picture_is_squeezed_into_a_square_of_rgb(tmp_path):
    oblong = noise(0, size=60).crop((0, 0, 60, 20))
    oblong.convert("L").save(tmp_path / "grey.png")
    expected = oblong.convert("L").convert("RGB").resize((32, 32), Image.Resampling.BILINEAR)
    tensor = Pictures(tmp_path, 32)["grey.png"]
    assert tensor.dtype == torch.uint8
    assert np.array_equal(tensor.permute(1, 2, 0), np.array(expected))


@pytest.mark.parametrize("name", ["../secret.png", "inside/../../secret.png", "link.png", "folder/secret.png", ""])
def test_nothing_outside_the_root_is_shown_to_a_network(tmp_path, name):
    (tmp_path / "root" / "inside").mkdir(parents=True)
    noise(0).save(tmp_path / "secret.png")
    (tmp_path / "root" / "link.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "root" / "folder").symlink_to(tmp_path)
    with pytest.raises(CannotTrain, match="not below"):
        Pictures(tmp_path / "root", 32)[name]
    with pytest.raises(CannotTrain, match="not below"):
        Pictures(tmp_path / "root", 32)[str(tmp_path / "secret.png")]


def test_links_within_the_root_and_to_the_root_are_followed(tmp_path):
    (tmp_path / "root").mkdir()
    noise(0).save(tmp_path / "root" / "a.png")
    (tmp_path / "root" / "b.png").symlink_to("a.png")
    (tmp_path / "link").symlink_to(tmp_path / "root")
    pictures = Pictures(tmp_path / "link", 32)
    assert torch.equal(pictures["a.png"], pictures["b.png"])


@pytest.mark.parametrize("name", ["text.png", "cut.png", "empty.png", "folder.png", "missing.png", "x" * 300, "a\0b"])
def test_a_picture_that_cannot_be_read_is_named(tmp_path, name):
    noise(0).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:500])
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty.png").touch()
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(CannotTrain) as refusal:
        Pictures(tmp_path, 32)[name]
    assert name.replace("\0", "") in str(refusal.value).replace("\0", "").replace(r"\x00", "")


def test_a_picture_is_decoded_once_as_far_as_there_is_room(tmp_path):
    for name in ("a.png", "b.png"):
        noise(0).save(tmp_path / name)
    pictures = Pictures(tmp_path, 32, keep_bytes=3 * 32 * 32)
    first = [pictures["a.png"], pictures["b.png"]]
    (tmp_path / "a.png").unlink()
    assert torch.equal(pictures["a.png"], first[0])
    assert torch.equal(pictures["b.png"], first[1])
    (tmp_path / "b.png").unlink()
    with pytest.raises(CannotTrain, match=r"b\.png"):
        pictures["b.png"]


def test_without_room_every_picture_is_decoded_again(tmp_path):
    noise(0).save(tmp_path / "a.png")
    pictures = Pictures(tmp_path, 32, keep_bytes=0)
    assert torch.equal(pictures["a.png"], pictures["a.png"])
    noise(1).save(tmp_path / "a.png")
    assert np.array_equal(pictures["a.png"].permute(1, 2, 0), np.array(noise(1)))


# Batches -------------------------------------------------------------------------------------------------------------


def pictures_of(folder, kind, pairs):
    return [np.array(Image.open(folder / kind / f"{pair}.png")).transpose(2, 0, 1) for pair in pairs]


def test_ha1_is_shown_the_anonymized_picture_alone(folder):
    shutil.rmtree(folder / "original")
    (batch,) = examples(folder, recipe(mode="HA1", batch_size=9)).batches()
    (images,) = batch.images
    assert np.array_equal(images, pictures_of(folder, "anonymized", [0, 1, 2, 5, 6, 7, 10, 11, 12]))
    assert batch.targets.tolist() == pytest.approx([pair % 10 / 9 for pair in (0, 1, 2, 5, 6, 7, 10, 11, 12)])


def test_ha2_is_shown_the_original_first(folder):
    batch = next(examples(folder, recipe(mode="HA2", batch_size=3)).batches(torch.tensor([8, 0, 1])))
    original, anonymized = batch.images
    assert np.array_equal(original, pictures_of(folder, "original", [12, 0, 1]))
    assert np.array_equal(anonymized, pictures_of(folder, "anonymized", [12, 0, 1]))
    assert batch.rows.tolist() == [8, 0, 1]


@pytest.mark.parametrize(
    ("n_rows", "batch_size", "sizes"),
    [(1, 4, [1]), (4, 4, [4]), (5, 4, [5]), (9, 4, [4, 5]), (10, 4, [4, 4, 2]), (3, 1, [1, 2]), (2, 1, [2])],
)
def test_a_last_row_by_itself_joins_the_batch_before(folder, n_rows, batch_size, sizes):
    rows = Examples([row(pair) for pair in range(n_rows)], recipe(batch_size=batch_size), Pictures(folder, 32))
    batches = list(rows.batches())
    assert [len(batch.rows) for batch in batches] == sizes == [len(batch.images[0]) for batch in batches]
    assert torch.cat([batch.rows for batch in batches]).tolist() == list(range(n_rows))


@pytest.mark.parametrize("keep_bytes", [0, 10**6])
def test_batches_do_not_depend_on_how_many_threads_decode_them(folder, keep_bytes):
    chosen = recipe(mode="HA2", batch_size=2)
    order = draw(chosen, 1, 9).order
    one, many = (
        list(examples(folder, chosen, keep_bytes=keep_bytes).batches(order, loaders=loaders)) for loaders in (1, 8)
    )
    for batch, other in zip(one, many, strict=True):
        assert all(torch.equal(*streams) for streams in zip(batch.images, other.images, strict=True))
        assert torch.equal(batch.targets, other.targets)
        assert torch.equal(batch.rows, other.rows)


def test_classes_come_as_whole_numbers_and_means_as_floats(folder):
    classes = examples(folder, recipe(target="labels10", task="classification")).targets
    means = examples(folder, recipe()).targets
    assert (classes.dtype, means.dtype) == (torch.int64, torch.float32)
    assert classes.tolist() == [0, 1, 2, 5, 6, 7, 0, 1, 2]


# Chance --------------------------------------------------------------------------------------------------------------


def parts_of(drawn):
    return torch.cat([drawn.order[:, None].float(), drawn.flipped.float(), drawn.degrees], dim=1)


def test_the_same_seed_and_epoch_draw_the_same_and_others_do_not():
    chosen = recipe(mode="HA2", seed=5)
    drawn = parts_of(draw(chosen, 3, 50))
    torch.rand(7)  # whatever else is drawn meanwhile
    assert torch.equal(parts_of(draw(chosen, 3, 50)), drawn)
    for other in (draw(chosen, 4, 50), draw(recipe(mode="HA2", seed=6), 3, 50)):
        for column in range(drawn.shape[1]):
            assert not torch.equal(parts_of(other)[:, column], drawn[:, column])


def test_every_row_comes_once_an_epoch():
    assert sorted(draw(recipe(), 1, 100).order.tolist()) == list(range(100))


def test_both_pictures_of_a_pair_draw_the_same_unless_asked_otherwise():
    paired, free = (draw(recipe(mode="HA2", paired=paired), 1, 100) for paired in (True, False))
    assert paired.flipped.shape == paired.degrees.shape == free.degrees.shape == (100, 2)
    assert torch.equal(paired.flipped[:, 0], paired.flipped[:, 1])
    assert torch.equal(paired.degrees[:, 0], paired.degrees[:, 1])
    assert (free.flipped[:, 0] != free.flipped[:, 1]).any()
    assert (free.degrees[:, 0] != free.degrees[:, 1]).all()


@pytest.mark.parametrize("paired", [True, False])
def test_half_the_pictures_are_flipped_and_angles_fill_the_range_evenly(paired):
    drawn = draw(recipe(mode="HA2", paired=paired, rotation=10), 1, 20_000)
    assert drawn.flipped.float().mean(0).tolist() == pytest.approx([0.5, 0.5], abs=0.02)
    for degrees in drawn.degrees.T:
        shares = Counter(torch.floor(degrees / 5).int().tolist())
        assert shares == {fifth: pytest.approx(5000, abs=250) for fifth in (-2, -1, 0, 1)}


def test_what_is_switched_off_is_not_drawn():
    drawn = draw(recipe(mode="HA2", flip=False, rotation=0), 1, 1000)
    assert not drawn.flipped.any()
    assert not drawn.degrees.any()


# Augmentation --------------------------------------------------------------------------------------------------------

UNFLIPPED, FLIPPED = torch.tensor([False, False]), torch.tensor([True, True])


@pytest.fixture
def images() -> torch.Tensor:
    return torch.from_numpy(np.stack([np.array(noise(seed, size=33)) for seed in (0, 1)])).permute(0, 3, 1, 2).float()


def test_no_flip_and_no_angle_change_nothing(images):
    torch.testing.assert_close(augmented(images, UNFLIPPED, torch.zeros(2)), images, atol=0.01, rtol=0)


def test_a_flip_mirrors_left_and_right_of_the_pictures_it_is_drawn_for(images):
    found = augmented(images, torch.tensor([True, False]), torch.zeros(2))
    torch.testing.assert_close(found, torch.stack([images[0].flip(-1), images[1]]), atol=0.01, rtol=0)


def test_a_right_angle_turns_the_picture_exactly(images):
    found = augmented(images, UNFLIPPED, torch.tensor([90.0, -90.0]))
    quarter = torch.stack([images[0].rot90(1, (-2, -1)), images[1].rot90(-1, (-2, -1))])
    torch.testing.assert_close(found, quarter, atol=0.02, rtol=0)


@pytest.mark.parametrize("flipped", [UNFLIPPED, FLIPPED])
def test_a_picture_is_turned_as_torchvision_turns_it_and_black_comes_in(images, flipped):
    angles = (-7.5, 10.0)
    found = augmented(images, flipped, torch.tensor(angles))
    turned = torch.stack(
        [
            published.rotate(image, angle, InterpolationMode.BILINEAR)
            for image, angle in zip(images, angles, strict=True)
        ]
    )
    torch.testing.assert_close(found, turned.flip(-1) if flipped.all() else turned, atol=0.05, rtol=0)
    assert (augmented(torch.full_like(images, 255), flipped, torch.tensor([45.0, 45.0]))[:, :, 0, 0] == 0).all()


def test_pictures_are_normalised_as_the_backbones_were_trained(images):
    expected = published.normalize(images / 255, mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
    torch.testing.assert_close(normalised(images), expected)
