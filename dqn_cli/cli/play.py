"""dqn-play: watch a trained agent, by returns or as a GIF, in fresh episodes or in its score's."""

from __future__ import annotations

import argparse
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from dqn_cli import __version__
from dqn_cli.cli.console import escape_what_does_not_fit
from dqn_cli.events import RunError
from dqn_cli.words import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dqn_cli.results.reader import Run


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point. Exit codes: 0 done, 1 the environment failed, 2 bad input."""
    escape_what_does_not_fit()
    args = _parser().parse_args(argv)
    try:
        kind = "last" if args.last else "best"
        play(args.run, args.seed, kind, args.episodes, args.gif, args.trust, args.scored)
    except ValueError as error:
        _parser().error(" ".join(str(error).split()))
    except RunError as error:
        _parser().exit(1, f"dqn-play: {error}\n")


def play(
    run: Path,
    seed: int | None,
    kind: str,
    episodes: int | None,
    gif: Path | None,
    trust: bool,
    scored: bool,
) -> None:
    """Play greedy episodes with one seed's network and print their returns. ValueError for bad
    input, RunError if the environment fails."""
    from dqn_cli.agent import agent
    from dqn_cli.config import check, refuse_foreign
    from dqn_cli.kernels.kernels import load as load_kernels
    from dqn_cli.results.reader import read_run
    from dqn_cli.training import build
    from dqn_cli.training.evaluation import evaluation_seeds, fresh_seeds, greedy_returns
    from dqn_cli.types import EnvError

    if gif is not None and (gif.suffix.lower() != ".gif" or not gif.parent.is_dir()):
        raise ValueError(f"--gif {gif}: expected NAME.gif in a directory that exists")
    read = read_run(run)
    if not trust:
        refuse_foreign(run, read.config, "--trust")
    config = check(read.config)
    seed = config.seeds[0] if seed is None else seed
    # The bits of Q-values depend on threads. The run's own device may not be present here.
    device = {key: "cpu" if key == "name" else value for key, value in config.device.items()}
    here = build.part(config.model_copy(update={"device": device}), "device")
    here.apply()
    used = read.summary.get("kernels")  # by the run: others round differently
    kernels = load_kernels(str(used) if used in here.kernels else here.kernels[-1], here.torch)
    player, checkpoint = agent(run, config, seed, kind, kernels)
    env, greedy, params = player.env, player.greedy, player.params.unsqueeze(0)
    score = recorded_score(read, seed, checkpoint.step)
    if scored and score is None:
        raise ValueError(f"--scored: seed {seed} has no score after step {checkpoint.step}")

    # In groups of the size that was scored: the same shapes, so the same actions to the bit.
    size, evaluation = config.eval.episodes, build.evaluation(config)
    at_once = 1 if evaluation.envs == "shared" else size
    limit = evaluation.limit(env)
    cut = 0
    wanted = episodes or size
    frames: list[NDArray[Any]] = []
    returns: list[float] = []
    which = "those of its score" if scored else "fresh"
    print(f"seed {seed}, {kind} network, after episode {checkpoint.episode}; episodes: {which}")
    for first in range(0, wanted, size):
        envs = env.make(at_once, render=gif is not None)
        numbers = range(first, first + size)
        seeds = evaluation_seeds(seed, checkpoint.step, numbers)
        if not scored:
            seeds = fresh_seeds(seed, numbers)
        watching = gif is not None and first == 0
        watch = (lambda envs: frames.append(envs.frame(0))) if watching else None
        try:
            played = greedy_returns(
                greedy, params, envs, [seeds], limit, at_once=at_once, watch=watch
            )
        except EnvError as error:
            number = first + error.row + 1
            raise RunError(f"environment {env.id} failed in episode {number}: {error}") from error
        assert played is not None  # nothing stops it
        returns += played.returns[0].tolist()
        cut += int(played.cut[0, : wanted - first].sum())
        envs.close()
    for number, value in enumerate(returns[:wanted], 1):
        print(f"episode {number}: return {value:.10g}")
    print(f"mean {sum(returns[:wanted]) / wanted:.10g}")
    if cut:
        were = "was" if cut == 1 else "were"
        print(f"note: {cut} of them {were} cut at {limit} steps (eval.max_steps)")
    if scored and score is not None:
        again = sum(returns[:size]) / size
        if not math.isclose(again, score, rel_tol=1e-8):
            print(
                f"note: the recorded score is {score:.10g}: "
                f"{env.id} did not play the same episodes from the same seeds"
            )
    if gif is not None:
        _write_gif(gif, frames, env.fps)
        print(f"{gif}: episode 1, {counted(len(frames), 'frame')}")


def recorded_score(run: Run, seed: int, step: int) -> float | None:
    """The score that the run has of a seed's network as it was after this env step."""
    for table in (run.scores, run.evaluations):
        if seed in table:
            rows = table[seed]
            scores = rows.loc[rows["step"] == step, "score"].dropna()
            if len(scores):
                return float(scores.iloc[-1])
    return None


def _write_gif(path: Path, frames: Sequence[NDArray[Any]], fps: float) -> None:
    from PIL import Image

    from dqn_cli.results.files import write_atomic

    first, *rest = [Image.fromarray(frame) for frame in frames]
    data = io.BytesIO()
    first.save(
        data,
        format="GIF",
        save_all=True,
        append_images=rest,
        duration=10 * max(round(100 / fps), 1),  # GIF counts in hundredths of a second
        loop=0,
    )
    write_atomic(path, data.getvalue())


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="dqn-play",
        description="Play greedy episodes with a trained network: fresh ones, which it was neither "
        "trained nor scored on, or those of its score.",
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="a run directory of dqn-train")
    parser.add_argument("--seed", metavar="N", type=int, help="default: the run's first")
    parser.add_argument(
        "--last", action="store_true", help="the network at the end, not the best-scoring one"
    )
    parser.add_argument(
        "--episodes", metavar="K", type=_count, help="default: as many as an evaluation has"
    )
    parser.add_argument(
        "--scored",
        action="store_true",
        help="the episodes that its score came from, and more of their kind if more are asked for",
    )
    parser.add_argument("--gif", metavar="FILE", type=Path, help="record the first episode")
    parser.add_argument(
        "--trust", action="store_true", help="run code from outside dqn_cli that the run names"
    )
    parser.add_argument("--version", action="version", version=f"dqn-cli {__version__}")
    return parser


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 7 and int(text) > 0):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, found {text!r}")
    return int(text)


if __name__ == "__main__":
    main()
