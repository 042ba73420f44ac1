"""What is trained for the report: the directory of each run, and the arguments of dqn-train.

Fresh seeds begin at 2001; no setting was chosen by looking at them.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path("outputs/reproduction")


def fresh(n: int) -> str:
    return ",".join(map(str, range(2001, 2001 + n)))


DOCUMENT = "12,34,56,78,90"  # Berta's seeds
ORACLE_PER = (  # as benchmarks/oracle.py has it
    "buffer=per buffer.alpha=0.6 buffer.beta=0.1 buffer.beta_end=1 buffer.beta_steps=20000"
    " buffer.epsilon=1e-6 buffer.normalize=batch"
)

RUNS: dict[str, str] = {
    **{
        f"berta/{name}": f"experiment=berta/{name} seed=[{DOCUMENT},{fresh(30)}]"
        for name in ("nfq", "dqn", "ddqn", "per", "dueling", "dueling_as_printed")
    },
    "berta/nfq_1500": (
        f"experiment=berta/nfq seed=[{DOCUMENT},{fresh(10)}] episodes=1500 eval.every_episodes=10"
    ),
    "berta/dqn_first": f"experiment=berta/dqn_first seed=[34,{fresh(30)}]",
    **{
        f"carayol/{name}": f"experiment=carayol/{name} seed=[{fresh(100)}]"
        for name in ("uniform", "per")
    },
    **{
        f"carayol/{name}": f"experiment=carayol/{name} seed=[{fresh(10)}]"
        for name in ("online", "replay", "dqn", "ddqn")
    },
    **{
        f"lange/{name}": f"experiment=lange/{name} seed=[{fresh(6)}]"
        for name in (
            *("dqn", "polyak", "ddqn", "per", "dueling", "per_double_dueling"),
            *("dqn_as_printed", "target_as_printed"),
            *("per_as_printed", "per_repository_as_printed"),
        )
    },
    **{
        f"lange/{key.rpartition('.')[2]}_{value}": (
            f"experiment=lange/dqn seed=[{fresh(6)}] {key}={value}"
        )
        for key, values in {
            "buffer.capacity": (5000, 40000),
            "target.every_steps": (1, 100),
            "optimizer.lr": ("1e-2", "1e-4"),
        }.items()
        for value in values
    },
    **{
        f"lange/batch_size_{size}": (  # from more rows than a batch has on
            f"experiment=lange/dqn seed=[{fresh(6)}] batch_size={size} learning_starts={size + 1}"
        )
        for size in (64, 128)
    },
    **{
        f"peng/{name}": f"experiment=peng/{name} seed=[{fresh(n)}]"
        for name, n in (
            *(("dqn", 5), ("ddqn", 5), ("dueling", 5), ("per", 5)),
            *(("dqn_as_printed", 5), ("per_as_printed", 5)),
        )
    },
    **{
        f"cleanrl/{env}": f"experiment=cleanrl/dqn env={env} seed=[{fresh(10)}]"
        for env in ("cartpole", "acrobot", "mountaincar")
    },
    **{
        f"zoo/{name}": f"experiment=zoo/{name} seed=[{fresh(n)}]"
        for name, n in (
            *(("cartpole", 30), ("mountaincar", 10), ("acrobot", 5), ("lunarlander", 5)),
            *(("qrdqn_cartpole", 10), ("qrdqn_acrobot", 10), ("qrdqn_mountaincar", 10)),
        )
    },
    **{
        f"cleanrl/c51_{env}": f"experiment=cleanrl/c51 env={env} seed=[{fresh(10)}]"
        for env in ("cartpole", "acrobot", "mountaincar")
    },
    **{
        f"berta/oracle_{name}": (
            "experiment=berta/ddqn optimizer.lr=7e-4 learning_starts=320"
            f"{changes} seed=[{fresh(5)}]"
        )
        for name, changes in (
            ("double", ""),
            ("dueling", " network=dueling"),
            ("all", f" network=dueling {ORACLE_PER}"),
        )
    },
    **{
        f"rainbow/{name}": f"experiment=rainbow/{name} seed=[{fresh(10)}]"
        for name in ("cartpole", "acrobot", "without_c51")
    },
    "minatar/breakout": f"experiment=minatar/dqn seed=[{fresh(3)}]",
    **{
        f"minatar/{game}": (
            f"experiment=minatar/dqn env=minatar/{game} seed=[{fresh(1)}] steps=1000000"
        )
        for game in ("asterix", "space_invaders", "freeway", "seaquest")
    },
    "atari/breakout": f"experiment=atari/qr env=atari/breakout seed=[{fresh(1)}] steps=500000",
    "atari/freeway": f"experiment=atari/qr env=atari/freeway seed=[{fresh(1)}] steps=500000",
    "atari/pong": (
        f"experiment=atari/qr env=atari/pong seed=[{fresh(1)}] steps=455000 device=cuda"
    ),
    "atari/freeway_torch": (
        f"experiment=atari/qr env=atari/freeway network.init=torch seed=[{fresh(1)}] steps=250000"
    ),
}

# Not run yet; one that has been run moves to RUNS.
PLANNED: dict[str, str] = {
    **{
        name: f"experiment={name} seed=[{fresh(10)}]"
        for name in (
            "zoo/qrdqn_lunarlander",
            *("rainbow/lunarlander", "rainbow/without_double", "rainbow/without_per"),
            *("rainbow/without_dueling", "rainbow/without_n_step", "rainbow/without_noisy"),
            *("dopamine/dqn", "dopamine/c51", "dopamine/rainbow", "dopamine/quantile"),
            *("dopamine/iqn", "munchausen/cartpole"),
        )
    },
}


def trained(name: str) -> str:
    """The command that trains it."""
    return f"dqn-train {(RUNS | PLANNED)[name]} hydra.run.dir={ROOT / name}"
