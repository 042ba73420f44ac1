"""What the command line says of names that are other tools'."""

import re
from pathlib import Path

import pytest

from dqn_cli import __version__
from dqn_cli.cli.hints import CONF, GROUPS, OURS, alternatives, choices, composed, elsewhere, option

MEANT = {
    "total_timesteps": "use steps",
    "num_frames": "use steps, each of which is four frames of an Atari game",
    "tau": "use target.tau with target=polyak",
    "buffer.size": "use buffer.capacity",
    "optimizer.learning_rate": "use optimizer.lr",
    "agent.Learning-Rate": "use optimizer.lr",
    "exploration.final_eps": "use exploration.end, with exploration=linear",
    "prioritized_replay_alpha": "use buffer.alpha with buffer=per or buffer=per_rank",
    "double_q": "use algo=ddqn",
    "eval.n_episodes": "use eval.episodes",
    # the same last name as keys of ours
    "every_steps": "use eval.every_steps or target.every_steps",
    "start": "use exploration.start",
    "streams": "use network.streams with network=dueling or network=noisy_dueling",
    # right, but of another choice
    "optimizer.alpha": "it comes with optimizer=rmsprop",
    # a group that has no such thing tells what it has
    "algo.learning_rate": "there are algo.double, algo.loss",
    "nothing_like_it": "see dqn-train --help",
}


@pytest.mark.parametrize(("key", "said"), MEANT.items(), ids=MEANT)
def test_a_key_of_another_tool_is_answered_with_ours(
    monkeypatch: pytest.MonkeyPatch, key: str, said: str
) -> None:
    monkeypatch.setattr("sys.argv", ["dqn-train", f"{key}=1"])
    assert alternatives(key) == said


def test_the_choices_on_the_command_line_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["dqn-train", "target=polyak", "tau=1"])
    assert alternatives("tau") == "use target.tau"
    monkeypatch.setattr("sys.argv", ["dqn-train", "algo=of_the_user_s", "tau=1"])
    assert alternatives("tau") == "use target.tau with target=polyak"


def test_the_table_names_what_there_is() -> None:
    keys = [*composed([]), *elsewhere(), *GROUPS]
    for theirs, ours in OURS.items():
        key, value = re.match(r"([\w.]+)(=[\w.]+)?", ours).groups()
        assert theirs not in keys
        if value and key in GROUPS:
            assert value == "=NAME" or value[1:] in choices(key)
        else:
            assert key in {*keys, "hydra.run.dir", "train.log"}


OPTIONS = {
    (
        "--learning-rate",
        "1e-3",
    ): "--learning-rate: dqn-train takes KEY=VALUE, here optimizer.lr=1e-3",
    ("--seed=1", None): "--seed=1: dqn-train takes KEY=VALUE, here seed=1",
    ("--algo", "ddqn"): "--algo: dqn-train takes KEY=VALUE, here algo=ddqn",
    ("--tau", None): "--tau: dqn-train takes KEY=VALUE, here target.tau=VALUE with target=polyak",
    ("--double-q", "1"): "--double-q: dqn-train takes KEY=VALUE, here algo=ddqn",
    ("--optim", "x"): "--optim: dqn-train takes KEY=VALUE, here optimizer=NAME",
}


@pytest.mark.parametrize(("words", "said"), OPTIONS.items(), ids=lambda x: x[0])
def test_an_option_of_another_tool_is_written_as_ours(
    words: tuple[str, str | None], said: str
) -> None:
    assert option(*words) == said


def test_the_words_around_a_wrong_option_are_not_taken_for_its_value(dqn_train) -> None:
    assert dqn_train("--lr", "algo=dqn").err.endswith("optimizer.lr=VALUE\n")
    assert dqn_train("--lr", "").err.endswith("optimizer.lr=VALUE\n")
    assert dqn_train("gamma=0.9", "--lr").err.endswith("optimizer.lr=VALUE\n")
    assert dqn_train("--lr", "-m", "gamma=0.9").err.endswith("optimizer.lr=VALUE\n")


def test_the_version_is_ours(dqn_train, tmp_path: Path) -> None:
    assert dqn_train("algo=dqn", "--version") == (0, f"dqn-cli {__version__}\n", "")
    assert list(tmp_path.iterdir()) == []
    assert CONF.is_dir()


@pytest.mark.parametrize(
    ("words", "there"),
    [
        (("hydra/sweeper=optuna",), "hydra/sweeper=optuna: no such choice; there are dqn, search"),
        (
            ("hydra/sweeper=search", "hydra/sweeper/space=ppo"),
            "hydra/sweeper/space=ppo: no such choice; there are c51, ddqn, dqn, iqn, ",
        ),
    ],
)
def test_a_sweeper_that_is_not_there_is_one_line(
    dqn_train, words: tuple[str, ...], there: str
) -> None:
    done = dqn_train("-m", *words, "gamma=0.5,0.6")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert done.err.startswith(f"dqn-train: {there}")


@pytest.mark.parametrize("word", ["algo=null", "algo=NULL"])
def test_no_choice_at_all_is_one_line(dqn_train, word: str) -> None:
    said = f"dqn-train: {word}: no such choice; there are c51, ddqn, dqn, "
    assert dqn_train("gamma=0.9", word).err.startswith(said)
