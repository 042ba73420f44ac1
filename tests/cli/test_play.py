"""dqn-play: the episodes that a score came from, told or filmed, and one line for what is wrong."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from gymnasium.error import DependencyNotInstalled
from PIL import Image

from dqn_cli import __version__
from dqn_cli.cli.play import main
from dqn_cli.env.gym_row import GymRow
from dqn_cli.seeding import episode_seed

SECONDS_PER_FRAME = 0.02
Play = Callable[..., list[str]]


@pytest.fixture
def play(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Play:
    """play(RUN, "--last"): the lines on stdout."""
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")

    def run(*arguments: object) -> list[str]:
        main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert err == ""
        return out.splitlines()

    return run


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """refused(RUN, "--seed", 9): its one line on stderr, without the program's name."""

    def run(*arguments: object) -> str:
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert (end.value.code, out) == (2, "")
        assert err.startswith("dqn-play: ") and err.count("\n") == 1 and err.endswith("\n")
        return err.removeprefix("dqn-play: ").rstrip()

    return run


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of the trained run, to spoil."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def told(run: Path, seed: int, key: str) -> Any:
    return json.loads((run / "summary.json").read_text())["seeds"][str(seed)][key]


def returns(lines: list[str]) -> list[float]:
    """Of the episodes, which are numbered from 1."""
    found = [
        match for line in lines if (match := re.fullmatch(r"episode (\d+): return (.*)", line))
    ]
    assert [int(match[1]) for match in found] == list(range(1, len(found) + 1))
    return [float(match[2]) for match in found]


def mean(lines: list[str]) -> float:
    (line,) = [line for line in lines if line.startswith("mean ")]
    return float(line.split()[1])


def reconfigure(run: Path, change: Callable[[dict[str, Any]], object]) -> None:
    values = yaml.safe_load((run / "config.yaml").read_text())
    change(values)
    (run / "config.yaml").write_text(yaml.safe_dump(values))


def test_the_best_score_is_played_again(trained: Path, play: Play) -> None:
    for seed in (1, 2):
        lines = play(trained, "--seed", seed, "--scored")
        episode = told(trained, seed, "best_episode")
        best = f"seed {seed}, best network, after episode {episode}; episodes: those of its score"
        assert lines[0] == best
        assert len(returns(lines)) == 4
        assert mean(lines) == sum(returns(lines)) / 4 == told(trained, seed, "best_score")


def test_the_last_score_is_played_again(trained: Path, play: Play) -> None:
    for seed in (1, 2):
        lines = play(trained, "--seed", seed, "--last", "--scored")
        assert (
            lines[0] == f"seed {seed}, last network, after episode 8; episodes: those of its score"
        )
        assert mean(lines) == told(trained, seed, "final_score")


def test_the_first_seed_is_the_default(trained: Path, play: Play) -> None:
    assert play(trained) == play(trained, "--seed", 1) != play(trained, "--seed", 2)


def test_fresh_episodes_are_played_unless_it_says_scored(
    run: Path, play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From seeds that neither training nor any evaluation has, whichever network plays."""
    begun: list[int] = []
    reset = GymRow.reset

    def noted(self, row, seed):
        begun.append(seed)
        return reset(self, row, seed)

    monkeypatch.setattr("dqn_cli.env.gym.row_for", lambda env: None)
    monkeypatch.setattr(GymRow, "reset", noted)
    reconfigure(run, lambda values: values["eval"].update(episodes=2))
    lines = play(run, "--seed", 2, "--episodes", 3)
    assert lines[0].endswith("; episodes: fresh")
    assert len(returns(lines)) == 3
    assert begun == [episode_seed(2, "fresh", number) for number in range(4)]
    used = {episode_seed(2, "eval", episode, n) for episode in range(9) for n in range(4)}
    assert not used & set(begun)
    assert returns(play(run, "--seed", 2, "--last", "--episodes", 3)) and begun[:4] == begun[4:]


def test_an_environment_that_ignores_its_seed_is_told(
    run: Path, play: Play, refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(self, action):
        return np.zeros(4, np.float32), 1.0, True, False, {}

    assert not any(line.startswith("note") for line in play(run, "--scored"))
    monkeypatch.setattr(CartPoleEnv, "step", step)
    monkeypatch.setattr("dqn_cli.env.gym.row_for", lambda env: None)
    score = told(run, 1, "best_score")
    assert play(run, "--scored")[-1] == (
        f"note: the recorded score is {score:g}: "
        "CartPole-v1 did not play the same episodes from the same seeds"
    )
    assert play(run)[-1] == "mean 1"


def test_what_was_never_scored_cannot_be_played_again(run: Path, refused) -> None:
    path = run / "scores/seed_1.csv"
    *rows, last = path.read_text().splitlines()
    cells = last.split(",")
    path.write_text("\n".join([*rows, ",".join([*cells[:4], "", *cells[5:]])]) + "\n")
    assert refused(run, "--last", "--scored") == (
        f"--scored: seed 1 has no score after step {cells[1]}"
    )


@pytest.mark.parametrize("kind", ["--scored", "--trust"])  # one that changes nothing
@pytest.mark.parametrize("episodes", [1, 3, 5, 9])
def test_more_or_fewer_episodes_begin_with_the_same(
    trained: Path, play: Play, episodes: int, kind: str
) -> None:
    scored = returns(play(trained, "--seed", 2, kind))
    lines = play(trained, "--seed", 2, "--episodes", episodes, kind)
    played = returns(lines)
    assert len(played) == episodes
    assert played[:4] == scored[:episodes]
    assert mean(lines) == pytest.approx(sum(played) / episodes)


def duration(gif: Image.Image) -> float:
    """In seconds; equal neighbours are stored as one picture that lasts longer."""
    milliseconds = 0
    for frame in range(gif.n_frames):
        gif.seek(frame)
        milliseconds += gif.info["duration"]
    return milliseconds / 1000


def test_a_gif_lasts_as_long_as_the_first_episode(
    trained: Path, play: Play, tmp_path: Path
) -> None:
    lines = play(trained, "--seed", 2, "--gif", tmp_path / "a.gif")
    length = int(returns(lines)[0])  # CartPole gives 1 per step
    assert lines[:-1] == play(trained, "--seed", 2)
    assert lines[-1] == f"{tmp_path / 'a.gif'}: episode 1, {length + 1} frames"
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.format == "GIF"
        pictures = set()
        for frame in range(gif.n_frames):
            gif.seek(frame)
            pictures.add(gif.convert("RGB").tobytes())
        assert duration(gif) == pytest.approx((length + 1) * SECONDS_PER_FRAME)
        assert 2 < len(pictures) <= gif.n_frames <= length + 1
        assert gif.info["loop"] == 0  # for ever
    assert [path.name for path in tmp_path.iterdir()] == ["a.gif"]


@pytest.mark.parametrize(("fps", "seconds"), [(15, 0.07), (300, 0.01), (None, 0.03), ("x", 0.03)])
def test_a_film_goes_by_as_fast_as_the_environment_says(
    trained: Path, play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fps, seconds: float
) -> None:
    monkeypatch.setitem(CartPoleEnv.metadata, "render_fps", fps)
    lines = play(trained, "--gif", tmp_path / "a.gif", "--episodes", 1)
    frames = int(returns(lines)[0]) + 1
    with Image.open(tmp_path / "a.gif") as gif:
        assert duration(gif) == pytest.approx(frames * seconds)


def test_a_film_shows_how_the_episode_ends(
    trained: Path, play: Play, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    states: list[np.ndarray] = []
    films: list[int] = []

    def frame(self, row):
        states.append(np.array(self.envs[row].unwrapped.state))
        films.append(row)
        return np.zeros((4, 4, 3), np.uint8)

    monkeypatch.setattr(GymRow, "frame", frame)
    play(trained, "--gif", tmp_path / "a.gif", "--episodes", 9)
    assert set(films) == {0}
    # a pole falls where it leaves 12 degrees
    outside = [abs(state[2]) > 12 * 2 * np.pi / 360 for state in states]
    assert outside == [False] * (len(states) - 1) + [True]


def test_a_film_of_an_environment_with_a_render_mode_of_its_own(
    run: Path, play: Play, tmp_path: Path
) -> None:
    reconfigure(run, lambda values: values["env"]["kwargs"].update(render_mode="rgb_array"))
    play(run, "--gif", tmp_path / "a.gif")
    assert (tmp_path / "a.gif").is_file()


@pytest.mark.parametrize(
    "error", [NotImplementedError(), DependencyNotInstalled("pygame is not installed")], ids=repr
)
def test_an_environment_that_cannot_be_drawn_is_one_line(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def render(self):
        raise error

    monkeypatch.setattr(CartPoleEnv, "render", render)
    with pytest.raises(SystemExit) as end:
        main([str(trained), "--gif", str(tmp_path / "a.gif")])
    assert end.value.code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_scores_has_a_last_network(run: Path, play: Play, refused) -> None:
    for path in run.glob("checkpoints/*_best.pt"):
        path.unlink()
    assert "seed_1_best.pt: no such checkpoint" in refused(run)
    assert mean(play(run, "--last", "--scored")) == told(run, 1, "final_score")


def test_the_version_is_ours(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert (end.value.code, capsys.readouterr().out) == (0, f"dqn-cli {__version__}\n")


def test_bad_arguments_are_one_line(trained: Path, tmp_path: Path, refused) -> None:
    assert "RUN" in refused()
    assert refused(trained, "--seed", "3") == "seed 3: the run has 1, 2"
    assert "--seed" in refused(trained, "--seed", "x")
    for episodes in ("0", "-1", "1.5", "x", "9" * 30):
        assert "--episodes" in refused(trained, "--episodes", episodes)
    for name in ("a.png", "gif", ".gif", "gone/a.gif"):
        assert "expected NAME.gif" in refused(trained, "--gif", tmp_path / name)
    assert "unrecognized" in refused(trained, "--nope")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_run_is_one_line(tmp_path: Path, refused) -> None:
    assert str(tmp_path / "gone") in refused(tmp_path / "gone")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign/config.yaml").write_text("a: 1\n")
    assert str(tmp_path / "foreign") in refused(tmp_path / "foreign")
    (tmp_path / "file").write_text("")
    assert str(tmp_path / "file") in refused(tmp_path / "file")


def test_a_damaged_checkpoint_is_one_line_that_names_it(run: Path, refused) -> None:
    path = run / "checkpoints/seed_1_best.pt"
    whole = path.read_bytes()
    for data in (b"", b"nonsense", whole[:-1], whole[: len(whole) // 2], whole[:100]):
        path.write_bytes(data)
        assert str(path) in refused(run)
    path.unlink()
    assert str(path) in refused(run)
    path.mkdir()
    assert str(path) in refused(run)


def test_a_checkpoint_of_another_network_is_one_line(run: Path, refused) -> None:
    reconfigure(run, lambda values: values["network"].update(hidden=[16]))
    line = refused(run)
    assert "seed_1_best.pt" in line and "8" in line and "16" in line


def test_a_checkpoint_of_another_seed_is_not_taken_for_this_one(run: Path, refused) -> None:
    shutil.copy(run / "checkpoints/seed_2_best.pt", run / "checkpoints/seed_1_best.pt")
    assert "seed" in refused(run, "--seed", 1)


BAD_CONFIGS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a key too many": (lambda values: values.update(foo=1), "foo: no such key"),
    "a key too few": (lambda values: values.pop("gamma"), "gamma: missing"),
    "no environment": (lambda values: values.update(env=3), "env=3"),
    "an unknown environment": (lambda v: v["env"].update(id="Nope-v0"), "env.id=Nope-v0"),
    "a value out of range": (lambda v: v["network"].update(hidden=[0]), "network.hidden.0=0"),
    "no list of seeds": (lambda values: values.update(seed="x"), "seed=x"),
}


@pytest.mark.parametrize(("change", "words"), BAD_CONFIGS.values(), ids=BAD_CONFIGS)
def test_a_bad_config_is_one_line(
    run: Path, refused, change: Callable[[dict[str, Any]], object], words: str
) -> None:
    reconfigure(run, change)
    assert words in refused(run)


@pytest.mark.parametrize("target", ["os.system", "os.getcwd", "subprocess.Popen", "json.__name__"])
def test_a_config_that_names_no_part_is_one_line(run: Path, refused, target: str) -> None:
    reconfigure(run, lambda values: values.update(env={"_target_": target}))
    assert refused(run).startswith("env.")


def test_a_config_from_elsewhere_runs_no_code_of_its_own(
    run: Path, refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "evil.py").write_text("def run():\n    open('evil', 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    reconfigure(run, lambda values: values.update(env={"_target_": "evil.run"}))
    assert "evil.run" in refused(run)
    assert not (tmp_path / "evil").exists()


def test_an_id_that_names_a_module_is_not_imported(
    run: Path, refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gymnasium.make would import it."""
    (tmp_path / "evil.py").write_text("open('evil', 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    reconfigure(run, lambda values: values["env"].update(id="evil:CartPole-v1"))
    assert refused(run).startswith("env.id=evil:CartPole-v1: ")
    assert not (tmp_path / "evil").exists()


def test_an_environment_that_raises_is_one_line(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(self, action):
        raise RuntimeError("the pole\nbroke")

    monkeypatch.setattr(CartPoleEnv, "step", step)
    monkeypatch.setattr("dqn_cli.env.gym.row_for", lambda env: None)
    with pytest.raises(SystemExit) as end:
        main([str(run)])
    err = capsys.readouterr().err
    assert end.value.code == 1
    assert err == (
        "dqn-play: environment CartPole-v1 failed in episode 1: RuntimeError: the pole broke\n"
    )
