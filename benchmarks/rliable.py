"""Statistics over environments beside those of rliable (Agarwal et al. 2021), on the same scores:
python -m benchmarks.rliable

Needs no more than NumPy, SciPy and rliable 1.2, which itself needs pandas below 3; so it can run in
an environment of its own: pip install rliable 'pandas<3'. Prints a table in about a minute. rliable
is run twice, so that the second column less the third shows what the draws alone change; it takes
them from numpy.random whatever random_state it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from rliable import library, metrics

from dqn_cli.results.environments import mean_improvement, profile, stratified
from dqn_cli.results.intervals import iqm

RUNS, ENVIRONMENTS = 10, 6
TAU = np.linspace(0, 2, 81)
REPS = 20_000


def scores(seed: int, better: float) -> Any:
    """Normalised scores, [RUNS, ENVIRONMENTS]: skewed, with ties, apart between environments."""
    draws = np.random.default_rng(seed).gamma(2, 0.3, (RUNS, ENVIRONMENTS))
    return np.round(np.minimum(draws * np.linspace(0.5, 1.5, ENVIRONMENTS) + better, 1.5), 2)


def theirs(function: Callable[..., Any], *args: Any, reps: int, seed: int) -> Any:
    """Point, low and high by rliable, [3, T]."""
    np.random.seed(seed)
    points, ends = function(*args, reps=reps)
    return np.array([*(np.ravel(point) for point in points.values()), *next(iter(ends.values()))])


def line(name: str, *columns: Any) -> None:
    cells = [f"{point:.4f} ({low:.4f} to {high:.4f})" for point, low, high in columns]
    print(f"| {name} | {' | '.join(cells)} |")


def main() -> None:
    x, y = scores(0, 0.1), scores(1, 0.0)
    xs, ys = list(x.T), list(y.T)
    better = mean_improvement(xs, ys, resamples=REPS)
    ours = {
        "mean": (x.mean(), *stratified(xs, np.mean, resamples=REPS)),
        "IQM": (iqm(x.ravel()), *stratified(xs, iqm, resamples=REPS)),
        "P(X > Y)": (better.probability, *better.interval),
    }
    others: dict[str, tuple[Any, Callable[..., float], int]] = {
        "mean": ({"x": x}, metrics.aggregate_mean, REPS),
        "IQM": ({"x": x}, metrics.aggregate_iqm, REPS),
        "P(X > Y)": ({"x,y": (x, y)}, metrics.probability_of_improvement, REPS // 10),  # slow
    }
    print("| | ours | rliable | rliable, other draws |\n|---|---|---|---|")
    for name, (data, metric, reps) in others.items():

        def statistic(*args: Any, metric: Callable[..., float] = metric) -> Any:
            return np.array([metric(*args)])

        intervals = library.get_interval_estimates
        columns = [theirs(intervals, data, statistic, reps=reps, seed=s)[:, 0] for s in (0, 1)]
        line(name, ours[name], *columns)
    make = library.create_performance_profile
    bands = [np.array(profile(xs, TAU)[1:])]
    bands += [theirs(make, {"x": x}, TAU, reps=REPS // 10, seed=seed) for seed in (0, 1)]
    for i in (20, 40, 50):  # tau is 0.5, 1 and 1.25
        line(f"profile at {TAU[i]:g}", *(band[:, i] for band in bands))
    ahead, draws = (np.abs(bands[1] - other).max(axis=1) for other in (bands[0], bands[2]))
    for name, *apart in zip(("share", "low", "high"), ahead, draws, strict=True):
        print(f"profile, {name}: at most {apart[0]:.4f} from ours, {apart[1]:.4f} by other draws")


if __name__ == "__main__":
    main()
