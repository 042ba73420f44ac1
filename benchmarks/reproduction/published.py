"""What the documents and projects published, beside which our figures are put.

Berta's figures are those of the notes' own result files; Lange's are means over the last tenth of
the logs in the tutorial's repository.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.reproduction.runs import PLANNED

if TYPE_CHECKING:
    import pandas as pd

Of = Callable[["pd.DataFrame"], float]  # a figure of one seed's CSV


def final_score(evaluations: int) -> Of:
    """Mean of a seed's last evaluations."""
    return lambda rows: float(rows["score"].dropna().iloc[-evaluations:].mean())


def final_tenth(rows: pd.DataFrame) -> float:
    """Mean of a seed's evaluations in the last tenth of its steps."""
    return float(rows["score"][rows["step"] > 0.9 * rows["step"].iloc[-1]].mean())


def mean_return(first: int = 1, last: int | None = None) -> Of:
    """Mean training return of these episodes, counted from 1."""
    return lambda rows: float(rows["return"].iloc[first - 1 : last].mean())


def final_return(rows: pd.DataFrame) -> float:
    """Mean training return of the last 100 episodes."""
    return float(rows["return"].iloc[-100:].mean())


def late_return(steps: int) -> Of:
    """Mean training return of the episodes that ended in the last so many steps."""

    def found(rows: pd.DataFrame) -> float:
        last = int(rows["step"].iloc[-1])
        return returns_between(last - steps, last)(rows)

    return found


def returns_between(first: int, last: int) -> Of:
    """Mean training return of the episodes that ended after step `first`, up to step `last`."""

    def found(rows: pd.DataFrame) -> float:
        return float(rows["return"][(first < rows["step"]) & (rows["step"] <= last)].mean())

    return found


def first_episode_at(score: float) -> Of:
    """The first episode, from 1, whose evaluation reached the score; infinite if none did."""

    def found(rows: pd.DataFrame) -> float:
        reached = rows["episode"][rows["score"] >= score]
        return float(reached.iloc[0]) if len(reached) else float("inf")

    return found


def solved_at(level: float) -> Of:
    """The first episode, from 1, at which the mean return of the last 100 was above the level."""

    def found(rows: pd.DataFrame) -> float:
        means = rows["return"].rolling(100).mean()
        above = rows["episode"][means > level]
        return float(above.iloc[0]) if len(above) else float("inf")

    return found


class Quantity(NamedTuple):
    title: str
    of: Of
    median: bool = False  # over seeds, and not the mean, where a seed may have none
    scored: bool = False  # of greedy episodes


class Row(NamedTuple):
    run: str
    published: str


class Table(NamedTuple):
    quantity: Quantity
    rows: list[Row]


def tables(quantities: Sequence[Quantity], published: Mapping[str, Sequence[str]]) -> list[Table]:
    """One for each quantity; published: run -> what there is of the first, the second, ..."""
    return [
        Table(quantity, [Row(run, told[i]) for run, told in published.items() if i < len(told)])
        for i, quantity in enumerate(quantities)
    ]


class Claim(NamedTuple):
    """What a document says, as a difference: more of the quantity with `run` than with `than`."""

    text: str
    run: str
    than: str
    quantity: Quantity
    sign: int = 1  # -1: less


class Stretch(NamedTuple):
    """What others' runs came to as a mean over some env steps: the least and the best of them."""

    first: int
    last: int
    low: float
    high: float


class Figure(NamedTuple):
    file: str
    title: str
    runs: list[str]
    metric: str = "score"
    x: str = "episode"
    smooth: int = 25
    episodes: int | None = None  # shown
    document: bool = False  # only the document's own seeds
    beside: tuple[Stretch, ...] = ()
    whose: str = ""  # those stretches


class Section(NamedTuple):
    title: str
    text: str
    walk: list[tuple[str, list[str], str]]  # a place in the document, its presets, the figure
    tables: list[Table]
    claims: list[Claim]
    figures: list[Figure]
    peers: str = ""  # what a table of peer.py's scores is about
    notes: str = ""  # below the tables
    x: str = "episode"  # of the mean curves in the small files


class Independent(NamedTuple):
    """Ours beside another loop: rows are its variant, our run, and what both are."""

    title: str
    text: str
    rows: list[tuple[str, str, str]]
    runs: list[str]  # of ours, those that are trained for this alone
    notes: str


SCORE_25 = Quantity("Score, mean of the last 25 evaluations", final_score(25), scored=True)
RETURN = Quantity("Training return per episode", mean_return())
FIRST_500 = Quantity("First episode with a score of 500", first_episode_at(500), True, scored=True)
TENTH = Quantity("Score, mean of the last tenth of the steps", final_tenth, scored=True)
SCORE_LAST = Quantity("Score, last evaluation", final_score(1), scored=True)
RETURN_100 = Quantity("Training return, mean of the last 100 episodes", final_return)
RETURN_250K = Quantity("Training return, mean of the last 250,000 steps", late_return(250_000))
EARLY = Quantity("Training return, episodes 1 to 100", mean_return(1, 100))
LATE = Quantity("Training return, episodes 301 to 400", mean_return(301, 400))
SOLVED = Quantity("First episode at which the last 100 average above 200", solved_at(200), True)

BERTA = Section(
    "R. Berta: CartPole, 250 episodes",
    """\
Course notes "Deep Q-Networks (DQN)" (2025), in the repository
riccardoberta/reinforcement-learning; presets `experiment=berta/...`. The notes train five seeds,
evaluate five greedy episodes after each training episode and smooth over 25. Their PER and
Dueling figures come from code that does something else than the text ([errata](errata.md)), so
they stand beside `..._as_printed`; `berta/per_as_printed` is `berta/ddqn` to the byte, and that
run is shown for it. Published episodes are counted from 0, ours from 1; intervals of the
published returns are of five seeds. The notes show no figure for NFQ, only a curve, and its
settings are ours: with them 250 episodes are about four fits, so `berta/nfq_1500` shows it with
1500 (evaluated every tenth, so that its last 25 evaluations are 250 episodes).""",
    [
        ("the first DQN", ["berta/dqn_first"], ""),
        ("DQN, against NFQ", ["berta/nfq", "berta/dqn"], "berta/nfq_dqn"),
        ("Double DQN, against DQN", ["berta/ddqn", "berta/dqn"], "berta/dqn_ddqn"),
        ("PER, against Double DQN", ["berta/per", "berta/ddqn"], "berta/ddqn_per"),
        ("... as its code has it, which is Double DQN", ["berta/per_as_printed"], ""),
        (
            "Dueling, against Double DQN",
            ["berta/dueling", "berta/dueling_as_printed", "berta/ddqn"],
            "berta/ddqn_dueling",
        ),
    ],
    tables(
        [SCORE_25, RETURN, FIRST_500],
        {
            "berta/nfq": ["curve only"] * 3,
            "berta/nfq_1500": ["not shown"],
            "berta/dqn_first": ["current 292.2 (one seed)", "337.7 (one seed)", "175 (one seed)"],
            "berta/dqn": ["491.5, smallest seed 479.8", "210.6 (187 to 234)", "173"],
            "berta/ddqn": ["480.2, smallest seed 436.1", "213.2 (192 to 234)", "138"],
            "berta/per": ["not run as said"] * 3,
            "berta/per_as_printed": ["490.6, smallest seed 474.5", "230.6 (194 to 267)", "149"],
            "berta/dueling": ["not run as said"] * 3,
            "berta/dueling_as_printed": ["460.2, smallest seed 420.9", "185.6 (139 to 232)", "117"],
        },
    ),
    [
        Claim("DQN is better than NFQ", "berta/dqn", "berta/nfq", SCORE_25),
        Claim(
            "Double DQN is always better than DQN (here with another rate, too)",
            "berta/ddqn",
            "berta/dqn",
            SCORE_25,
        ),
        Claim(
            "PER uses fewer samples: fewer env steps in 250 episodes, that is, a lower return",
            "berta/per",
            "berta/ddqn",
            RETURN,
            -1,
        ),
        Claim("PER is better than Double DQN", "berta/per", "berta/ddqn", SCORE_25),
        Claim(
            "Dueling is better than Double DQN (here also with PER, Polyak and another rate)",
            "berta/dueling",
            "berta/ddqn",
            SCORE_25,
        ),
    ],
    [
        Figure(
            "berta/nfq_dqn",
            "NFQ and DQN, the notes' seeds",
            ["berta/nfq", "berta/dqn"],
            document=True,
        ),
        Figure(
            "berta/dqn_ddqn",
            "DQN and Double DQN, the notes' seeds",
            ["berta/dqn", "berta/ddqn"],
            document=True,
        ),
        Figure(
            "berta/ddqn_per",
            "Double DQN and PER, the notes' seeds",
            ["berta/ddqn", "berta/per"],
            document=True,
        ),
        Figure(
            "berta/ddqn_dueling",
            "Double DQN and Dueling, the notes' seeds",
            ["berta/ddqn", "berta/dueling", "berta/dueling_as_printed"],
            document=True,
        ),
        Figure(
            "berta/all",
            "All of them, fresh seeds",
            ["berta/nfq", "berta/dqn", "berta/ddqn", "berta/per", "berta/dueling"],
        ),
    ],
)

CARAYOL = Section(
    "T. Carayol: CartPole, PER and uniform replay",
    """\
DataCamp slides "Deep Reinforcement Learning in Python"; presets `experiment=carayol/...`. The
slides compare 100 runs each after 100 and after 400 episodes and print no numbers, only that PER
is faster and better; optimizer, learning rate, discount, network, exploration and the target's
tau are not given and are ours. The agents before it, from the barebone one on, come without
results.""",
    [
        ("the barebone DQN", ["carayol/online"], ""),
        ("experience replay", ["carayol/replay"], ""),
        ("fixed targets", ["carayol/dqn"], ""),
        ("Double DQN", ["carayol/ddqn"], ""),
        ("PER, after 100 episodes", ["carayol/per", "carayol/uniform"], "carayol/per_100"),
        ("PER, after 400 episodes", ["carayol/per", "carayol/uniform"], "carayol/per_400"),
    ],
    tables(
        [EARLY, LATE],
        {
            "carayol/uniform": ["below PER"] * 2,
            "carayol/per": ["above uniform"] * 2,
            "carayol/online": ["no result shown"] * 2,
            "carayol/replay": ["no result shown"] * 2,
            "carayol/dqn": ["no result shown"] * 2,
            "carayol/ddqn": ["no result shown"] * 2,
        },
    ),
    [
        Claim("PER is better after 100 episodes", "carayol/per", "carayol/uniform", EARLY),
        Claim("PER is better after 400 episodes", "carayol/per", "carayol/uniform", LATE),
    ],
    [
        Figure(
            "carayol/per_100",
            "PER and uniform replay, 100 episodes",
            ["carayol/uniform", "carayol/per"],
            metric="return",
            smooth=10,
            episodes=100,
        ),
        Figure(
            "carayol/per_400",
            "PER and uniform replay, 400 episodes",
            ["carayol/uniform", "carayol/per"],
            metric="return",
            smooth=25,
        ),
    ],
)

LANGE_ROWS = {
    "lange/dqn": ["818, 902, 856, 1065 (four times the same)"],
    "lange/polyak": ["1118"],
    "lange/ddqn": ["998"],
    "lange/per": ["not run as said"],
    "lange/dueling": ["810 (mean over the batch)"],
    "lange/per_double_dueling": ["743 (and squared priorities)"],
    "lange/capacity_5000": ["1046"],
    "lange/capacity_40000": ["773"],
    "lange/every_steps_1": ["1005"],
    "lange/every_steps_100": ["not shown"],
    "lange/batch_size_64": ["930"],
    "lange/batch_size_128": ["1012"],
    "lange/lr_1e-2": ["317"],
    "lange/lr_1e-4": ["718"],
    "lange/dqn_as_printed": ["as lange/dqn"],
    "lange/target_as_printed": ["no figure"],
    "lange/per_as_printed": ["no figure"],
    "lange/per_repository_as_printed": ["818, 825, 803 (alpha 0.2, 0.5, 0.8)"],
}
LANGE = Section(
    "R. T. Lange: a gridworld",
    """\
Slides "A Tutorial on Deep-Q-Learning" (2019), with the repository RobertTLange/deep-rl-tutorial;
presets `experiment=lange/...`. The maze is our own, in the spirit of theirs, so returns are not
on one scale: theirs are discounted and of an agent with epsilon 0.05, ours neither. What can be
compared is what makes a difference. All published figures were made with an epsilon of 0.01 from
the first step on, as `lange/dqn_as_printed` has it; the other rows of ours have the schedule that
was meant, whose epsilon is still 0.37 at the end. Published are means of six runs over the last
tenth of the tutorial's logs, where the same run comes out between 818 and 1065; names of its logs
are ten times off for learning rates, and `hard_update_100` is 500. Its rows for other discounts
are left out, as each is discounted with its own; so are DDQN with tau 0.01 (765) and 0.1 (1017),
and Dueling with 64 (684) and 256 (778) units.""",
    [
        ("replay buffer", ["lange/dqn"], "lange/buffer"),
        ("batch size", ["lange/dqn"], "lange/batch"),
        ("learning rate", ["lange/dqn"], "lange/rate"),
        (
            "hard and soft targets",
            ["lange/dqn", "lange/polyak", "lange/target_as_printed"],
            "lange/target",
        ),
        ("Double DQN", ["lange/ddqn"], "lange/variants"),
        ("PER", ["lange/per"], "lange/variants"),
        (
            "... as its code has it",
            ["lange/per_as_printed", "lange/per_repository_as_printed"],
            "",
        ),
        ("Dueling", ["lange/dueling"], "lange/variants"),
        ("all of it", ["lange/per_double_dueling"], "lange/variants"),
        ("the exploration behind the figures", ["lange/dqn_as_printed"], ""),
    ],
    tables([TENTH], LANGE_ROWS),
    [
        Claim("Double DQN is better than DQN", "lange/ddqn", "lange/polyak", TENTH),
        Claim("PER is better than uniform replay", "lange/per", "lange/dqn", TENTH),
        Claim("Dueling is better than one stream", "lange/dueling", "lange/dqn", TENTH),
        Claim("A Polyak target is better than a hard one", "lange/polyak", "lange/dqn", TENTH),
        Claim("A learning rate of 1e-3 is better than 1e-2", "lange/dqn", "lange/lr_1e-2", TENTH),
        Claim("A learning rate of 1e-3 is better than 1e-4", "lange/dqn", "lange/lr_1e-4", TENTH),
        Claim("A larger batch is better", "lange/batch_size_128", "lange/dqn", TENTH),
        Claim("A smaller buffer is better", "lange/capacity_5000", "lange/capacity_40000", TENTH),
    ],
    [
        Figure(f"lange/{file}", title, runs, x="step", smooth=4)
        for file, title, runs in (
            ("variants", "The variants", list(LANGE_ROWS)[:6]),
            ("buffer", "Buffer", ["lange/capacity_5000", "lange/dqn", "lange/capacity_40000"]),
            (
                "target",
                "Target",
                ["lange/every_steps_1", "lange/dqn", "lange/polyak", "lange/target_as_printed"],
            ),
            ("batch", "Batch", ["lange/dqn", "lange/batch_size_64", "lange/batch_size_128"]),
            ("rate", "Learning rate", ["lange/lr_1e-2", "lange/dqn", "lange/lr_1e-4"]),
        )
    ],
)
PENG = Section(
    "A. Peng: LunarLander, 1500 episodes",
    """\
Blog post "Deep Reinforcement Learning [1/4] - Deep Q Learning" (2020), with the repository
andrewpeng02/deeprl-pytorch; presets `experiment=peng/...`, each on top of the one before. The
blog's environment was LunarLander-v2; solved is a mean above 200 over 100 episodes.""",
    [
        ("the algorithm", ["peng/dqn"], "peng/all"),
        ("... with the rate of its listing", ["peng/dqn_as_printed"], ""),
        ("Double DQN", ["peng/ddqn"], "peng/all"),
        ("Dueling DQN", ["peng/dueling"], "peng/all"),
        ("PER, and the results", ["peng/per", "peng/per_as_printed"], "peng/all"),
    ],
    tables(
        [RETURN_100, SOLVED],
        {
            "peng/dqn": ["no figure"] * 2,
            "peng/ddqn": ["no figure"] * 2,
            "peng/dueling": ["no figure"] * 2,
            "peng/per": ["not run as said"] * 2,
            "peng/dqn_as_printed": ["no figure"] * 2,
            "peng/per_as_printed": ["about 250 at the end", "solved"],
        },
    ),
    [],
    [
        Figure(
            "peng/all",
            "LunarLander",
            ["peng/dqn", "peng/ddqn", "peng/dueling", "peng/per", "peng/per_as_printed"],
            metric="return",
            smooth=100,
        )
    ],
)
CLEANRL = Section(
    "CleanRL's dqn.py",
    """\
Preset `experiment=cleanrl/dqn`, 500 000 steps; CleanRL reports the training return at the end, of
three seeds, with the standard deviation.""",
    [],
    tables(
        [RETURN_100],
        {
            "cleanrl/cartpole": ["488.69 ± 16.11"],
            "cleanrl/acrobot": ["-91.54 ± 7.20"],
            "cleanrl/mountaincar": ["-194.95 ± 8.48"],
        },
    ),
    [],
    [],
)
ZOO = Section(
    "RL Baselines3 Zoo",
    """\
Presets `experiment=zoo/...`; the zoo evaluates one trained agent over many episodes, with the
standard deviation over them. Ours is the last evaluation of each seed, ten episodes, at nineteen
twentieths of the run or later.""",
    [],
    tables(
        [SCORE_LAST],
        {
            "zoo/cartpole": ["500.0 ± 0.0"],
            "zoo/acrobot": ["-76.6 ± 11.8"],
            "zoo/mountaincar": ["-100.8 ± 9.9"],
            "zoo/lunarlander": ["154.4 ± 79.2 (v2)"],
        },
    ),
    [],
    [],
    """\
One agent's figure hides how far agents lie apart. So the zoo's library was trained with the same
settings, and scored by ten greedy episodes at the very end (needs the extra `bench`:
`python -m benchmarks.reproduction.peer zoo/cartpole 2001 2030`):""",
)
RAINBOW = Section(
    "The Rainbow family, small control",
    """\
Presets `experiment=cleanrl/c51`, `zoo/qrdqn_...`, `rainbow/...`, `dopamine/...` and
`munchausen/cartpole`. CleanRL reports the training return at the end of 500 000 steps, of three
seeds, with the standard deviation; the zoo evaluates one trained agent, with the standard deviation
over episodes. "Revisiting Rainbow" (2021) shows 100 runs in figures and prints no numbers, and its
CartPole ends after 200 steps where ours does after 500. Dopamine publishes no scores for small
control, nor does the paper on Munchausen.""",
    [],
    [
        *tables(
            [RETURN_100],
            {
                "cleanrl/c51_cartpole": ["481.20 ± 20.53"],
                "cleanrl/c51_acrobot": ["-87.70 ± 5.52"],
                "cleanrl/c51_mountaincar": ["-166.38 ± 27.94"],
            },
        ),
        *tables(
            [SCORE_LAST],
            {
                "zoo/qrdqn_cartpole": ["500.0 ± 0.0"],
                "zoo/qrdqn_acrobot": ["-69.1 ± 10.0"],
                "zoo/qrdqn_mountaincar": ["-106.0 ± 15.5"],
                "zoo/qrdqn_lunarlander": ["70.2 ± 225.5 (v2)"],
                **{
                    f"rainbow/{name}": ["figure only"]
                    for name in (
                        *("cartpole", "acrobot", "lunarlander"),
                        *("without_double", "without_per", "without_dueling"),
                        *("without_n_step", "without_c51", "without_noisy"),
                    )
                },
                "dopamine/dqn": ["no figure"],
                "dopamine/c51": ["no figure"],
                "dopamine/rainbow": ["no figure"],
                "dopamine/quantile": ["figure only"],
                "dopamine/iqn": ["figure only"],
                "munchausen/cartpole": ["no figure"],
            },
        ),
    ],
    [],
    [
        Figure(
            "zoo/qrdqn_cartpole", "QR-DQN, CartPole", ["zoo/qrdqn_cartpole"], x="step", smooth=1
        ),
        Figure(
            "cleanrl/c51_mountaincar",
            "C51, MountainCar",
            ["cleanrl/c51_mountaincar"],
            metric="return",
            x="step",
            smooth=100,
        ),
    ],
    notes="""\
C51 on CartPole is above CleanRL's figure, and on Acrobot at it. On MountainCar it is below: two of
ten seeds end above -200, and CleanRL's mean and deviation are possible only if two or three of its
three did. If the chance is the same on both sides, a split like that or a wider one is one draw in
five with two, one in thirty with three: ten seeds and three do not settle it. What is seen in ours
is that the goal is hardly ever found: no seed came there before env step 188 000, when epsilon is
down to 0.28, and seven of ten in at most ten of their 2500 episodes; those end with Q-values
between -97 and -100, which is what never arriving is worth. A seed that scored -135 at 425 000
steps was back at -200 at the end; the two that end above rose in the last fifth. CleanRL's own
code was not run here, so whether it finds the goal more often is not known.

QR-DQN on CartPole is below the zoo's one agent, as DQN is in the section above, where the zoo's
own library has 334.4 over thirty seeds beside that agent's 500. A score of 500 comes and goes: all
ten seeds had it 2500 env steps before the end, four at the end, and of the last ten evaluations of
each it was 59 of 100, so that a single agent at a single moment says little. On Acrobot the zoo's
figure lies among ours, which are lower by 3.8 in the mean; two of ten seeds end at it or above.
On MountainCar it is -108.4 beside -106.0. SB3-Contrib's own code was not run here.

Rainbow on CartPole was still rising when it ended: 19 after 1,000 steps in the mean of ten seeds,
182 after 10,000, 228 after 20,000 and 267 after 30,000. Three seeds have 441 to 493 over their last
ten evaluations, one 231, and six 117 to 158, so that its mean says where few of them are. Without
C51 it was later (10, 124, 139 and 190 at these steps) and no closer together: two seeds have 335
and 401 over their last ten, eight 51 to 198. On Acrobot it had -143 after 10,000 steps and -93 from
20,000 on; all ten seeds have -117 to -87 over their last ten evaluations.

Rainbow and QR-DQN on MountainCar were trained with compiled kernels, the others with PyTorch's.""",
)
MINATAR = Section(
    "MinAtar",
    """\
K. Young and T. Tian, "MinAtar" (2019); preset `experiment=minatar/dqn`, six actions, one in ten of
them sticky. The paper shows 30 runs of five million frames in figures and prints no numbers; read
off them, DQN comes to about 10 in Breakout, 17 in Asterix, 50 in Freeway, 44 in Space Invaders and
20.5 in Seaquest (whose rules have changed since). In text there is one: 9.23 ± 0.13 in Breakout,
the last 100 episodes of three seeds (joash2003/rainbow-minatar, README and logs), with these
settings but that epsilon falls from the first frame on, and not after 5,000. A hundred of these
episodes scatter by 1 around their seed's mean, so a second table has more of them: of the logs,
the mean of those 25 means of 100 episodes that they print last. Of Breakout three seeds are trained
here, of the other games one seed for a million frames, a fifth of that: enough to see that a game
is learned, and not how far seeds lie apart, or where they end, least of all in Seaquest, which
begins to be learned in the last third of them. Returns are of training episodes, a tenth of whose
actions is random, as the paper has it; greedy episodes score far more, and scatter far more.
Random play is ours: each of the six actions equally often, 60 000 frames of seed 0, which are 23
episodes of Freeway and 845 to 5342 of the others.""",
    [],
    tables(
        [RETURN_100, RETURN_250K, SCORE_LAST],
        {
            "minatar/breakout": [
                "9.04, 9.34, 9.33 at 5 million frames; random play 0.51",
                "8.68, 8.94, 9.21 at 5 million frames",
                "not published",
            ],
            "minatar/asterix": [
                "about 17 at 5 million, figure; random play 0.50",
                "as above",
                "not published",
            ],
            "minatar/space_invaders": [
                "about 44 at 5 million, figure; random play 2.8",
                "as above",
                "not published",
            ],
            "minatar/freeway": [
                "about 50 at 5 million, figure; random play 0.2",
                "as above",
                "not published",
            ],
            "minatar/seaquest": [
                "about 20.5 at 5 million, figure, other rules; random play 0.10",
                "as above",
                "not published",
            ],
        },
    ),
    [],
    [
        Figure(
            "minatar/breakout",
            "MinAtar: Breakout",
            ["minatar/breakout"],
            metric="return",
            x="step",
            smooth=1000,
        ),
        Figure(
            "minatar/games",
            "MinAtar: one seed each, a million frames",
            [f"minatar/{game}" for game in ("asterix", "space_invaders", "freeway", "seaquest")],
            metric="return",
            x="step",
            smooth=100,
        ),
    ],
    x="step",
)
ATARI = Section(
    "Atari",
    """\
Quantile regression, preset `experiment=atari/qr`: Dopamine's agent in JAX, which has PER and
three-step returns. An iteration of theirs is 250,000 steps of training, a million frames, and
`baselines/atari/data` in its repository has each run's mean training return of every iteration;
points and episodes are whole numbers, so the mean gives both. Here one seed of a game was trained
for one or two of them: on a core, two and a half hours each, most of them products of matrices at
the processor's peak, stopped and resumed several times; or, Pong, on a GPU.

Breakout is learned: random play makes 1.3, the last fifty episodes of training 22.9 with an epsilon
of 0.01, the greedy network at the end 24.1, and 19.5 over thirty fresh episodes. Over the first
iteration ours has 4.20 (3,805 points in 906 episodes), where their five runs have 4.44 to 4.61 (one
of them 3,998 in 873); over the second 17.57, where theirs have 17.75 to 19.06. So it is below the
least of theirs both times, by 5 % and by 1 %. A second seed, 2002, was trained on a GPU as far as
step 214,289 (`device=cuda`): it has 3.80 there, 803 episodes, where the first seed has 3.52. So our
seeds differ by as much as is missing. Both codes were read side by side; the one difference that
was found is that the second convolution pads a picture with 2 pixels on each side here, and with 1
and 2 there.

Freeway is learned, later. Of Dopamine's five runs (in `freeway.json`, over 123 episodes) it is 2.8
[1.6, 4.4] in the first iteration, 26.0 [24.9, 27.3] in the second, 31.2 [31.1, 31.3] in the third
and 31.8 [31.7, 32.0] in the fifth. Ours made no point in 98 episodes, one in the next, and 106 in
the 23 after it: 0.88 over the first iteration, where each of theirs made 195 points or more. Over
the second it has 22.7 (2,769 points in 122 episodes; the 250,000 steps of the table begin an
episode earlier), and 29.3 over the last twenty of them; the greedy network at the end makes 29.9,
and 29.6 over thirty fresh episodes. Another run, with PyTorch's first weights instead of
Dopamine's, made no point in 122 episodes; nor do a hundred episodes of random play (each of the
three actions equally often, environments of seeds 0 to 99). So all depends on when the greedy
action of a network that has seen no reward is to go up for long enough, which is chance: of five
more runs of quantile regression there (`freeway_CNN.json`), one has no point in thirteen
iterations, and four have 2.5 to 6.2 in the first; of five of IQN four have none in the first, and
of ten of plain DQN each has less than a tenth of a point.

Pong was trained for 455,000 steps, nearly two iterations, in ten minutes of an H100. It has -19.7
over the 232 episodes of the first one, as theirs have -20.1 to -19.7, and -15.7 over the 97 of the
second that there are, -10.8 over the last ten of them; theirs have -18.3 to -13.5 over the whole of
it. Random play makes -20.2 (thirty episodes), the greedy network at the end -13.1, and -11.4 over
thirty fresh episodes. The same seed was trained on a core, too, where its last bits are others, for
340,000 steps: it has -19.8 over the first iteration, and -16.8 over the 39 episodes of the second
that there are, where the one on the GPU has -17.1 over 48; greedy -12.8, and -14.3 over thirty
fresh episodes.""",
    [],
    tables(
        [RETURN_250K, SCORE_LAST],
        {
            "atari/breakout": [
                "17.8 to 19.1 over the second million frames; random play 1.3",
                "not published",
            ],
            "atari/pong": [
                "-18.3 to -13.5 over the second million frames, the first 820,000 of them here",
                "not published",
            ],
            "atari/freeway_torch": [
                "1.6, 1.7, 2.8, 3.6, 4.4 at 1 million frames; random play 0",
                "not published",
            ],
            "atari/freeway": [
                "24.9 to 27.3 over the second million frames; random play 0",
                "not published",
            ],
        },
    ),
    [],
    [
        Figure(
            "atari/breakout",
            "Breakout's first two million frames, quantile regression",
            ["atari/breakout"],
            metric="return",
            x="step",
            smooth=30,
            beside=(Stretch(0, 250_000, 4.44, 4.61), Stretch(250_000, 500_000, 17.75, 19.06)),
            whose="Dopamine, five runs, mean",
        ),
        Figure(
            "atari/freeway",
            "Freeway's first two million frames, quantile regression",
            ["atari/freeway"],
            metric="return",
            x="step",
            smooth=5,
            beside=(Stretch(0, 250_000, 1.6, 4.4), Stretch(250_000, 500_000, 24.9, 27.3)),
            whose="Dopamine, five runs, mean",
        ),
        Figure(
            "atari/pong",
            "Pong's first 1.8 million frames, quantile regression",
            ["atari/pong"],
            metric="return",
            x="step",
            smooth=10,
            beside=(Stretch(0, 250_000, -20.1, -19.7), Stretch(250_000, 500_000, -18.3, -13.5)),
            whose="Dopamine, five runs, mean",
        ),
    ],
    x="step",
)
PAGE = [BERTA, CARAYOL, LANGE, PENG, CLEANRL, ZOO, RAINBOW, MINATAR, ATARI]


def rows_where(section: Section, planned: bool) -> Section:
    """The section with the rows that are planned, or with the others, alone."""
    tables = [
        Table(table.quantity, [row for row in table.rows if (row.run in PLANNED) == planned])
        for table in section.tables
    ]
    return section._replace(tables=tables)


SECTIONS = [rows_where(section, planned=False) for section in PAGE]
LEFT = [rows_where(section, planned=True) for section in PAGE]  # to run

INDEPENDENT = Independent(
    "An independent loop",
    """\
[benchmarks/oracle.py](../benchmarks/oracle.py) is DQN for CartPole in plain PyTorch, with autograd
and lists, one seed at a time, written from the settings alone; its final score is that of Berta's
first table. `berta/oracle_...` have its settings, key by key, and `berta/dqn` all but the first
update, which comes a step later. `berta/ddqn` (a rate of 1e-3 instead of 7e-4) and `berta/per`
(that rate, Double DQN, alpha 0.5, a beta of 0.4 throughout and weights by the buffer's largest) do
not: theirs are the nearest runs that there are.""",
    [
        ("dqn", "berta/dqn", "DQN"),
        ("double", "berta/oracle_double", "Double DQN"),
        ("double", "berta/ddqn", "Double DQN, ours at another rate"),
        ("per", "berta/per", "DQN with PER, ours Double DQN, another rate and PER"),
        ("dueling", "berta/oracle_dueling", "Double DQN, dueling"),
        ("all", "berta/oracle_all", "Double DQN, PER, dueling"),
    ],
    ["berta/oracle_double", "berta/oracle_dueling", "berta/oracle_all"],
    """\
The two agree within what so few seeds show, and no further. Where the settings are the same, all
four intervals include 0. That of `berta/ddqn`, whose rate is another, does not; but seeds that
happen to lie near 500 scatter too little for Welch. If the seeds of both sides are exchanged in
all ways, a difference as large as the one seen comes in 57 % of them for `dqn`, 66 % for `double`,
38 % for `dueling` and 71 % for `all`; with other settings in 18 % for `berta/ddqn` and 28 % for
`berta/per`. Ours is below in every row, so a small difference is not excluded.

`berta/dueling` stays low (367.1 in the first table): Double DQN with prioritised replay, a dueling
network and a Polyak target of 0.01 at every step. Another loop, written apart from this package
and not kept here, had 362.9 [266, 460] over ten seeds with these settings. The variant `dueling`
of the loop that is kept is another thing: Double DQN with uniform replay, a dueling network and a
hard target.""",
)

# What an error in a document changes, where a key reproduces it: as printed, less as said.
ERRATA = [
    Claim("Berta: priorities that never change", "berta/per_as_printed", "berta/per", SCORE_25),
    Claim(
        "Berta: V + A, the swapped Polyak shares and uniform draws",
        "berta/dueling_as_printed",
        "berta/dueling",
        SCORE_25,
    ),
    Claim("Lange: epsilon 0.01 from the first step", "lange/dqn_as_printed", "lange/dqn", TENTH),
    Claim(
        "Lange: the target renewed every 3000 updates instead of 100",
        "lange/target_as_printed",
        "lange/every_steps_100",
        TENTH,
    ),
    Claim("Lange: weights inside the square", "lange/per_as_printed", "lange/per", TENTH),
    Claim("Lange: squared priorities", "lange/per_repository_as_printed", "lange/per", TENTH),
    Claim(
        "Peng: PyTorch's learning rate of 1e-2, 500 steps",
        "peng/dqn_as_printed",
        "peng/dqn",
        RETURN_100,
    ),
    Claim("Peng: squared priorities", "peng/per_as_printed", "peng/per", RETURN_100),
]
