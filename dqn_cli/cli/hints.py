"""What a command line got wrong, in one line with what is right."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

HERE = Path(__file__).parents[1]
# The checkout has conf/ beside the package; a wheel carries it inside.
CONF = next(c for c in (HERE.parent / "conf", HERE / "conf") if (c / "config.yaml").is_file())
GROUPS = frozenset(path.name for path in CONF.iterdir() if path.is_dir()) - {"hydra"}
TAKES = "dqn-train takes KEY=VALUE"

# A key or choice of ours, perhaps with a remark: what other tools call it. Their dots and dashes
# are written as underscores, so that buffer.size is found as well.
CALLED = {
    "optimizer.lr": "learning_rate q_lr",
    "optimizer.eps": "adam_eps adam_epsilon optimizer_epsilon",
    "optimizer=NAME": "optim optimizer_class",
    "buffer.capacity": "buffer_size replay_size replay_buffer_size replay_capacity memory_size "
    "buffer_capacity max_replay_size",
    "steps": "total_timesteps num_timesteps n_timesteps max_timesteps timesteps total_steps "
    "max_steps num_steps",
    "steps, each of which is four frames of an Atari game": "total_frames num_frames max_frames",
    "episodes": "n_episodes num_episodes max_episodes total_episodes n_epochs epochs",
    "seed": "random_seed",
    "seed, as in seed=[1,2,3]": "seeds num_seeds n_seeds",
    "seed=[1,2,3]: a seed has one environment, and this trains three at once": "num_envs n_envs",
    "env.id": "env_id env_name environment environment_name gym_id task",
    "env.kwargs, as in +env.kwargs.NAME=VALUE": "env_kwargs",
    "gamma": "discount discount_factor discount_rate",
    "batch_size": "minibatch_size mini_batch_size train_batch_size",
    "learning_starts": "learning_start warmup_steps min_replay_size min_buffer_size "
    "replay_start_size train_start start_training start_steps",
    "update_every": "train_freq train_frequency train_every train_interval update_freq "
    "update_frequency update_interval update_period",
    "updates": "gradient_steps n_updates num_updates updates_per_step utd_ratio",
    "algo.loss": "loss loss_fn loss_function criterion",
    "grad_clip_norm": "max_grad_norm grad_clip gradient_clip gradient_clipping clip_grad "
    "clip_grad_norm grad_norm_clipping",
    "target.tau": "tau soft_update_tau polyak_tau target_network_tau",
    "target.every_steps": "target_update_interval target_update_freq target_update_frequency "
    "target_update_period target_update_every target_update target_network_frequency "
    "target_network_update_freq target_network_update_frequency target_freq sync_every "
    "sync_target_every",
    "exploration.start, with exploration=linear": "exploration_initial_eps start_e eps_start "
    "epsilon_start eps_init initial_eps initial_epsilon eps_initial epsilon_initial epsilon_init "
    "eps_max epsilon_max max_epsilon",
    "exploration.end, with exploration=linear": "exploration_final_eps end_e eps_end epsilon_end "
    "eps_final final_eps final_epsilon epsilon_final eps_min epsilon_min min_epsilon",
    "exploration.decay_steps, with exploration=linear": "exploration_steps eps_decay_steps "
    "epsilon_decay_steps epsilon_timesteps",
    "exploration=linear, whose exploration.decay_steps are env steps": "exploration_fraction "
    "eps_decay epsilon_decay epsilon_decay_rate decay_rate",
    "exploration.start, with exploration=constant": "eps epsilon eps_greedy exploration_rate",
    "network.hidden": "net_arch hidden_sizes hidden_size hidden_dim hidden_dims hidden_units "
    "hidden_layers hiddens fcnet_hiddens fc_layer_params",
    "network.activation": "activation_fn activation_function nonlinearity fcnet_activation",
    "network=NAME": "policy model architecture",
    "network=dueling": "dueling dueling_dqn use_dueling",
    "algo=NAME": "algorithm agent",
    "algo=ddqn": "double double_q double_dqn use_double ddqn",
    "buffer=per": "per use_per prioritized prioritized_replay prioritised_replay use_prioritized "
    "prioritized_experience_replay",
    "buffer.alpha": "per_alpha prioritized_replay_alpha priority_exponent",
    "buffer.beta": "per_beta beta0 prioritized_replay_beta prioritized_replay_beta0",
    "buffer.beta_steps": "beta_frames beta_annealing_steps prioritized_replay_beta_iters "
    "beta_anneal_steps",
    "buffer.epsilon": "per_eps per_epsilon prioritized_replay_eps",
    "eval.every_steps": "eval_freq eval_frequency eval_interval eval_every evaluation_interval",
    "eval.episodes": "n_eval_episodes num_eval_episodes eval_n_episodes eval_num_episodes "
    "evaluation_num_episodes evaluation_duration",
    "checkpoint.every_seconds": "checkpoint_freq checkpoint_frequency checkpoint_interval "
    "save_freq save_frequency save_every save_interval",
    "hydra.run.dir=DIR": "output_dir log_dir logdir save_dir out_dir output save_path run_dir "
    "tensorboard_log results_dir local_dir",
    "name": "exp_name experiment_name run_name tag",
    "device=cuda": "cuda use_cuda gpu use_gpu",
    "device.workers": "num_workers n_workers n_jobs num_cpu",
    "resume": "load_checkpoint checkpoint_path resume_from restore",
    "train.log, which is always written": "verbose log_level logging",
}
# A launcher of Hydra's plugins -> the extra of this package that installs it.
LAUNCHERS = {"joblib": "processes", "submitit_local": "slurm", "submitit_slurm": "slurm"}
OURS = {name: ours for ours, names in CALLED.items() for name in names.split()}


def explain(error: Exception) -> str:
    """What the command line got wrong, and what is allowed there."""
    if isinstance(error, MissingConfigException) and (name := error.missing_cfg_file):
        group, _, choice = name.rpartition("/")
        if group == "hydra/launcher":
            return launcher(choice)
        if group.startswith("hydra/sweeper"):
            there = [name for name in choices(group) if "/" not in name]
            return no_such(group, choice, there)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, choice = error.missing_cfg_file.partition("/")
        return no_such(group, choice, choices(group))
    line = str(error).split("\n")[0]
    if line.startswith("Config group override must be a string"):
        word = next((a for a in sys.argv[1:] if a.lower().endswith("=null")), None)
        if word is not None:
            group, _, choice = word.partition("=")
            return no_such(group, choice, choices(group))
    if missing := re.search(r"Could not (?:find|load) '(\w+)/([^']+)'", line):
        group, choice = missing.groups()
        return no_such(group, choice, choices(group))
    if unknown := re.match(r"Could not override '([^'@]+)'", line):
        return f"{unknown[1]}: no such key; {alternatives(unknown[1])}"
    if twice := re.match(r"Multiple values for (\w+)\. To override .*: ([^']+)'", line):
        choice = f"{twice[1]}={twice[2]}"
        return f"+{choice}: there is a choice already; {choice} replaces it"
    if several := re.match(r"Ambiguous value for argument '([^'=]+)=([^']*)'", line):
        key, values = several.groups()
        a_list = "" if key in GROUPS else f", {key}=[{values}] is a list"
        return f"{key}={values}: several values; -m makes a run of each{a_list}"
    if without := re.match(r"Sweep parameters '(.+)' requires --multirun", line):
        return f"{without[1]}: several values; -m makes a run of each"
    if isinstance(error, OverrideParseException):
        quotes = "special characters need quotes that the shell leaves: \"KEY='VALUE'\""
        return f"{error.override}: expected KEY=VALUE ({quotes})"
    return line


def launcher(name: str) -> str:
    """Which package has a launcher that is not there."""
    if extra := LAUNCHERS.get(name):
        chosen = next((a for a in sys.argv if a.startswith("hydra/launcher=")), name)
        return f"{chosen}: not installed; pip install 'dqn-cli[{extra}]'"
    there = ", ".join(["basic", *LAUNCHERS, *choices("hydra/launcher")])
    return f"hydra/launcher={name}: no such choice; there are {there}"


def choices(group: str) -> list[str]:
    files = (CONF / group).rglob("*.yaml")
    return sorted(file.relative_to(CONF / group).with_suffix("").as_posix() for file in files)


def no_such(group: str, choice: str, there: Sequence[str]) -> str:
    """Which choices there are; of a folder that is there, those in it."""
    folder = choice.partition("/")[0]
    inside = [name for name in there if name.startswith(f"{folder}/")]
    if group == "env" and is_gymnasium_id(choice):
        meant = f"a Gymnasium id is chosen by env.id={choice}; "
    else:
        alike = difflib.get_close_matches(choice, there, 1, 0.8)
        meant = f"did you mean {alike[0]}? " if alike and len(there) > 10 else ""
    return (
        f"{group}={choice}: no such choice; {meant}there are {', '.join(sorted(inside or there))}"
    )


def is_gymnasium_id(name: str) -> bool:
    """Whether it is one, or looks like one of a package that is not imported."""
    import gymnasium  # slow to import

    return name in gymnasium.registry or re.fullmatch(r"(\S+[/:])?\S+-v\d+", name) is not None


def option(word: str, value: str | None) -> str:
    """What to write in place of an option that is none, such as --learning-rate or --seed=1."""
    name, given, text = word.lstrip("-").partition("=")
    key = name.replace("-", "_")
    keys = composed([])
    meant = key if key in keys or key in GROUPS else called(key, keys)
    if meant is None:
        return f"{word}: no such option; {TAKES}, such as optimizer.lr=1e-3"
    ours = re.match(r"[\w.]+(?!=)\b", meant)
    if ours and (ours[0] in keys or ours[0] in GROUPS or ours[0] in elsewhere()):
        meant = f"{ours[0]}={text if given else value or 'VALUE'}{meant[ours.end() :]}"
    return f"{word}: {TAKES}, here {meant}"


def alternatives(key: str) -> str:
    """What an unknown key is called here; otherwise the other keys of its section, or similar ones
    elsewhere."""
    keys = chosen_keys()
    if key in keys:
        return f"new keys are added to it as +{key}.NAME=VALUE"
    section = key.rpartition(".")[0]
    there = [k for k in keys if section and k.startswith(f"{section}.") and "_target_" not in k]
    meant = renamed(key, keys)
    if meant and (not there or key in elsewhere() or meant.startswith(f"use {section}.")):
        return meant
    if there:
        return f"there are {', '.join(there)}"
    alike = difflib.get_close_matches(key, keys)
    return f"did you mean {' or '.join(alike)}?" if alike else "see dqn-train --help"


def renamed(key: str, keys: Sequence[str]) -> str | None:
    """Which choices a key comes with, or what another tool's key is called here, where there are
    these keys; None if it is unknown."""
    if with_it := elsewhere().get(key):
        return f"it comes with {' or '.join(with_it)}"
    ours = called(key, keys)
    return f"use {ours}" if ours else None


def chosen_keys() -> list[str]:
    """The keys there are with the choices of this command line."""
    typed = [a for a in sys.argv[1:] if a.partition("=")[0] in GROUPS]
    return composed([a for a in typed if not set(a) & set(",(")])


def called(key: str, keys: Sequence[str]) -> str | None:
    """What another tool's key is here, or the keys with the same last name; None if unknown."""
    last = key.rpartition(".")[2]
    for name in (key.replace(".", "_"), last):
        if ours := OURS.get(name.replace("-", "_").lower()):
            return with_choice(ours, keys)
    there = [k for k in keys if k.rpartition(".")[2] == last]
    absent = [with_choice(k, keys) for k in elsewhere() if k.rpartition(".")[2] == last]
    return " or ".join(there) or ", or ".join(absent) or None


def with_choice(ours: str, keys: Sequence[str]) -> str:
    """Name the choices that bring the key, if those that were made do not."""
    if ours in keys or ours not in elsewhere():
        return ours
    return f"{ours} with {' or '.join(elsewhere()[ours])}"


def elsewhere() -> dict[str, list[str]]:
    """Every key of a group -> the choices that have it."""
    found: dict[str, list[str]] = {}
    for file in sorted(CONF.glob("*/*.yaml")):
        group = file.parent.name
        if not file.read_text(encoding="utf-8").startswith("# @package _global_"):
            section = OmegaConf.load(file)
            assert isinstance(section, DictConfig)
            for key in flatten(section, f"{group}."):
                found.setdefault(key, []).append(f"{group}={file.stem}")
    return found


def composed(chosen: Sequence[str]) -> list[str]:
    """The keys there are with these choices; with the defaults, if there are no such choices."""
    begun = GlobalHydra.instance().is_initialized()  # with the command line's own places
    here = nullcontext() if begun else hydra.initialize_config_dir(str(CONF), version_base="1.3")
    with here:
        try:
            return list(flatten(hydra.compose("config", list(chosen))))
        except (HydraException, OmegaConfBaseException):  # such as a choice of --config-dir's
            return list(flatten(hydra.compose("config")))


def flatten(config: DictConfig, prefix: str = "") -> Iterator[str]:
    """Every key that holds a value, dotted."""
    for key in map(str, config):
        value = config._get_node(key)
        if isinstance(value, DictConfig) and not value._is_none() and len(value):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"
