"""`retrain.prefer`: the cheapest of the trials that noise alone may set behind the best, and a line that says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from width_runs import MadeTrial, count_images, width_run

from toprung.results.analysis.confirmation import confirmed
from toprung.results.analysis.winner import confirmed_winner, eligible, pick_winner
from toprung.search.choice.choose import choose_winner
from toprung.search.choice.prefer import Preferring
from toprung.search.choice.searched_run import SearchedRun
from toprung.search.runs.run_folder import RunFolder
from toprung.spaces.errors import InputError

TRIALS_MADE = [(0.90, 50_000, 2.0), (0.89, 9_000, 4.0), (0.88, 20_000, 1.0), (0.50, 10, 0.1)]
"""val_accuracy, parameters and seconds of an epoch."""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A run of four trials, compared on 120 validation images: one standard error is about 0.027."""
    count_images(monkeypatch, train=400, val=120)
    return width_run(tmp_path, [MadeTrial([value], [secs], size) for value, size, secs in TRIALS_MADE])


@pytest.mark.parametrize(
    ("prefer", "trial_id", "why"),
    [
        ("best", "t00000", "best of 4 trials: val_accuracy 0.9000 at epoch 1, 0.0100 ahead of t00001"),
        (
            "smallest",
            "t00001",
            "smallest of 3 trials within the noise of 120 validation images (+-0.0279, one standard error): "
            "val_accuracy 0.8900, 9,000 parameters; passed over t00000 (50,000 parameters), 0.0100 better",
        ),
        (
            "fastest",
            "t00002",
            "fastest of 3 trials within the noise of 120 validation images (+-0.0279, one standard error): "
            "val_accuracy 0.8800, 1 s an epoch; passed over t00000 (2 s an epoch), 0.0200 better",
        ),
    ],
)
def test_the_cheapest_trial_within_the_noise_of_the_images_wins_and_the_line_says_what_was_passed_over(
    run: RunFolder, prefer: str, trial_id: str, why: str
) -> None:
    winner = choose_winner(SearchedRun.read(run, [f"retrain.prefer={prefer}"]))
    assert (winner.trial_id, winner.config["width"]) == (trial_id, int(trial_id[1:]))
    assert winner.why.startswith(why)


def test_a_trial_that_the_user_names_is_taken_whatever_it_costs(run: RunFolder) -> None:
    found = choose_winner(SearchedRun.read(run, ["retrain.prefer=smallest"]), "t00000")
    assert found.trial_id == "t00000" and found.why.startswith("chosen by its name")


def test_a_metric_whose_noise_does_not_follow_from_counts_needs_a_confirmation(run: RunFolder) -> None:
    searched = SearchedRun.read(run, ["retrain.prefer=smallest"])
    search = searched.job.search.model_copy(update={"metric": "val_loss"})
    by_loss = SearchedRun(
        run, searched.job.model_copy(update={"search": search}), searched.trials, searched.epochs
    )
    with pytest.raises(
        InputError, match=r"retrain\.prefer: smallest, .* noise of val_loss; --set retrain.confirm=K"
    ):
        choose_winner(by_loss)


@pytest.mark.parametrize(
    ("spread", "trial_id", "why"),
    [
        (0.03, "t00001", "smallest of 2 configurations within one standard error (+-0.0173) of the best mean of 3 "
         "seeds: val_accuracy 0.8900, 9,000 parameters; passed over t00000 (50,000 parameters), 0.0100 better"),
        (0.001, "t00000", "best of 3 confirmed: val_accuracy 0.9000 over 3 new seeds"),
    ],
)  # fmt: skip
def test_among_confirmed_means_the_noise_is_that_of_the_seeds(
    run: RunFolder, spread: float, trial_id: str, why: str
) -> None:
    searched = SearchedRun.read(run, ["retrain.prefer=smallest"])
    objective = searched.job.search.optimized.main
    centres = {"t00000": 0.90, "t00001": 0.89, "t00002": 0.80}
    curves = {name: [[value - spread], [value], [value + spread]] for name, value in centres.items()}
    means = confirmed(curves, objective)
    board = eligible(searched.trials, searched.epochs, objective)
    assert list(board["trial_id"])[:3] == list(centres)
    best = pick_winner(searched.trials, searched.epochs, objective)
    winner = Preferring(searched, searched.epochs).among_confirmed(
        confirmed_winner(best, searched.trials, means, objective), means
    )
    assert winner.trial_id == trial_id and winner.why.startswith(why)
    assert winner.confirmed == tuple(means), "best first, whichever is preferred"
