import pytest

from datasets.models.releases import Label
from scoring.charts import CURVE, SIZE, Axis, losses, scatter
from scoring.compare import Row
from scoring.models import Epoch

WIDTH, HEIGHT = CURVE


def row(mean: float, prediction: float) -> Row:
    nothing = {"psnr": None, "mse": None, "ssim": None, "ratings": {}}
    return Row(label=Label(mean=mean), split="test", target=mean, prediction=prediction, lookup=5.0, **nothing)


def epochs(*pairs: tuple[float, float]) -> list[Epoch]:
    return [Epoch(number=i, train_loss=train, val_loss=val) for i, (train, val) in enumerate(pairs, start=1)]


def points(line: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (point.split(",") for point in line.split())]


def test_an_axis_begins_at_its_lowest_and_ends_at_its_highest_value():
    axis = Axis(1, 10, 480)
    assert [axis.place(value) for value in (1, 5.5, 10)] == [0, 240, 480]


def test_an_axis_without_a_range_puts_everything_at_its_beginning():
    assert Axis(3, 3, 480).place(3) == 0


@pytest.mark.parametrize(
    ("mean", "prediction", "x", "y"),
    [(1, 1, 0, SIZE), (10, 10, SIZE, 0), (10, 1, SIZE, SIZE), (5.5, 5.5, 240, 240), (4, 7, 160, 160)],
)
def test_a_pair_lies_right_by_peoples_mean_and_up_by_the_prediction(mean, prediction, x, y):
    [point] = scatter([row(mean, prediction)], low=1, high=10)["points"]
    assert (point["x"], point["y"]) == (x, y)


def test_every_pair_is_drawn_even_where_a_prediction_leaves_the_scale():
    drawn = scatter([row(1, 0.55), row(10, 10.45)], low=1, high=10)["points"]
    assert [(point["x"], point["y"]) for point in drawn] == [(0, SIZE + 24), (SIZE, -24)]


def test_the_scatter_plots_ticks_are_the_scales_whole_scores_the_lowest_at_the_bottom():
    drawn = scatter([], low=1, high=10)
    assert [tick.text for tick in drawn["ticks"]] == [str(score) for score in range(1, 11)]
    assert [(drawn["ticks"][i].at, drawn["rows"][i].at) for i in (0, 3, 9)] == [(0, SIZE), (160, 320), (SIZE, 0)]


def test_before_the_first_epoch_there_are_no_lines():
    assert losses([], 10) is None


def test_a_loss_lies_over_its_epoch_and_as_high_as_it_is():
    drawn = losses(epochs((0.8, 1.0), (0.4, 0.5)), 3)
    assert points(drawn["train"]) == [(0, pytest.approx(0.2 * HEIGHT)), (WIDTH / 2, pytest.approx(0.6 * HEIGHT))]
    assert points(drawn["val"]) == [(0, 0), (WIDTH / 2, HEIGHT / 2)]
    assert drawn["most"] == 1.0


def test_the_last_of_all_epochs_is_at_the_right_end():
    assert points(losses(epochs((1, 1), (1, 1), (1, 1)), 3)["val"])[-1][0] == WIDTH


def test_the_dot_is_on_the_epoch_with_the_lowest_validation_loss_the_first_of_equals():
    drawn = losses(epochs((0.9, 1.0), (0.6, 0.25), (0.1, 0.25)), 5)
    assert drawn["best"].number == 2
    assert (drawn["best_x"], drawn["best_y"]) == (WIDTH / 4, 0.75 * HEIGHT)


@pytest.mark.parametrize("n_epochs", [1, 2])
def test_a_single_epoch_is_drawn_at_the_left_end(n_epochs):
    assert points(losses(epochs((0.5, 1.0)), n_epochs)["train"]) == [(0, HEIGHT / 2)]


def test_losses_of_nothing_lie_at_the_bottom():
    assert points(losses(epochs((0.0, 0.0)), 4)["train"]) == [(0, HEIGHT)]
