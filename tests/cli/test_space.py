"""What a search varies: Hydra's grammar as distributions, and a preset that gives way."""

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from optuna.distributions import CategoricalDistribution as Choice
from optuna.distributions import FloatDistribution as Float
from optuna.distributions import IntDistribution as Int

from dqn_cli.cli.hints import CONF, choices
from dqn_cli.cli.space import overrides, space
from dqn_cli.config import BadInput

CONFIG = OmegaConf.create({"gamma": 0.9, "optimizer": {"lr": 1.0}, "batch_size": 8})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("interval(0,0.2)", Float(0, 0.2)),
        ("interval(1,10)", Float(1, 10)),
        ("tag(log,interval(1e-5,1e-2))", Float(1e-5, 1e-2, log=True)),
        ("int(interval(1,10))", Int(1, 10)),
        ("tag(log,int(interval(8,512)))", Int(8, 512, log=True)),
        ("range(1,10,2)", Int(1, 9, step=2)),
        ("0.9,0.99", Choice(["0.9", "0.99"])),
        ("choice([64],[64,64])", Choice(["[64]", "[64,64]"])),
        ("null,10", Choice(["null", "10"])),
        ("range(0.5,1.6,0.5)", Choice(["0.5", "1.0", "1.5"])),
    ],
)
def test_a_sweep_of_hydra_s_is_a_distribution(text: str, expected: object) -> None:
    found, _ = space({}, [f"gamma={text}"], CONFIG)
    assert found.distributions() == {"gamma": expected}
    assert found.searched == {"gamma": text}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("interval(2,1)", "gamma=interval(2,1): "),
        ("tag(log,interval(0,1))", "gamma=tag(log,interval(0,1)): "),
        ("range(5,1,-1)", "a range that rises"),
        ("0.9", "nothing to search"),
    ],
)
def test_what_is_none_is_one_line(text: str, words: str) -> None:
    with pytest.raises(BadInput) as error:
        space({}, [f"gamma={text}"], CONFIG)
    assert words in str(error.value)


def test_the_command_line_takes_the_place_of_a_preset_s_keys() -> None:
    preset = {"gamma": "0.9,0.99", "optimizer.lr": "interval(0,1)", "nope": "1,2"}
    found, absent = space(preset, ["gamma=0.5", "batch_size=1,2", "algo=dqn"], CONFIG)
    assert found.searched == {"optimizer.lr": "interval(0,1)", "batch_size": "1,2"}
    assert found.fixed == ["gamma=0.5", "algo=dqn"]
    assert absent == ["nope"]


@pytest.mark.parametrize("seeds", ["seed=range(0,3)", "seed=0,1,2", "seed=[0,1,2]"])
def test_seeds_are_never_searched(seeds: str) -> None:
    """However they are written, they are the seeds of every trial."""
    found, _ = space({}, [seeds, "gamma=0.9,0.99"], CONFIG)
    assert found.fixed == ["seed=[0,1,2]"]
    assert list(found.searched) == ["gamma"]


def test_corners_have_every_choice_and_both_ends() -> None:
    found, _ = space({}, ["gamma=interval(0.1,0.9)", "batch_size=1,2,3"], CONFIG)
    assert list(found.corners()) == [
        ["gamma=0.1", "batch_size=1"],
        ["gamma=0.9", "batch_size=2"],
        ["gamma=0.1", "batch_size=3"],
    ]


def test_a_trial_s_words_are_its_values() -> None:
    assert overrides({"a.b": 1e-05, "c": "[64,64]"}) == ["a.b=1e-05", "c=[64,64]"]


def preset_of(*words: str) -> tuple[dict[str, str], DictConfig]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = hydra_compose("config", ["hydra/sweeper=search", *words], return_hydra_config=True)
    given = OmegaConf.to_container(config.hydra.sweeper.space)
    assert isinstance(given, dict)
    return {str(k): str(v) for k, v in given.items()}, config


@pytest.mark.parametrize("algo", choices("algo"))
def test_every_algorithm_has_a_preset_whose_corners_are_runs(compose, algo: str) -> None:
    """Chosen by the algorithm, with no key that it has not."""
    preset, config = preset_of(f"algo={algo}")
    assert preset
    found, absent = space(preset, [f"algo={algo}"], config)
    assert not absent
    for corner in found.corners():
        assert compose(*found.fixed, *corner)


def test_a_preset_can_be_another_or_none() -> None:
    assert "algo.atoms" in preset_of("hydra/sweeper/space=c51")[0]
    assert preset_of("hydra/sweeper/space=none")[0] == {}
