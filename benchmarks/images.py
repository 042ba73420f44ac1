"""The pictures of README.md and docs/, made again: python -m benchmarks.images [NAME ...]

terminal: what a small sweep shows on a terminal, as an SVG; five minutes.
figures: the runs of the command that the README shows (half an hour of one core, kept in
outputs/images), and what dqn-plot draws of them.
"""

from __future__ import annotations

import io
import os
import re
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

IMAGES = Path("docs/images")
RUNS = Path("outputs/images")
COLUMNS, ROWS = 120, 30  # of the terminal
SHOWN = 60  # per cent of the run at which the picture is taken
WARM = "dqn-train algo=ddqn buffer=per steps=2000 seed=1"  # compiles the kernels, and is not shown
TRAIN = "dqn-train -m algo=dqn,ddqn buffer=uniform,per"
SWEEP = [
    *("buffer=uniform,latest", "target=hard,none", "seed=[1,2,3,4,5,6,7,8,9,10]"),
    *("eval.every_episodes=null", "eval.every_steps=1000"),
]
LABELS = {
    "uniform hard": "DQN",
    "uniform none": "no target network",
    "latest hard": "no replay",
    "latest none": "neither",
}
FIGURES = {  # file in docs/images -> arguments of dqn-plot
    "comparison.png": ["--height", "4", *(f"--label={old}={new}" for old, new in LABELS.items())],
    "bars.png": ["--bars"],
    "pairwise.png": ["--pairwise"],
}
REDRAW = b"\r\x1b[2K"  # how rich begins
PARTS = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|(\r?\n)|(\r)|([^\x1b\r\n]+)")


class Screen:
    """The lines of a terminal, with what rich's displays need of it: lines are written from their
    start, erased whole, and gone back to."""

    def __init__(self) -> None:
        self.lines = [""]
        self.row = 0
        self.at_start = False

    def feed(self, text: str) -> None:
        for number, command, newline, back, plain in PARTS.findall(text):
            if newline:
                self.row += 1
                self.lines += [""] * (self.row + 1 - len(self.lines))
                self.at_start = True
            elif back:
                self.at_start = True
            elif command == "A":
                self.row = max(self.row - int(number or 1), 0)
            elif command == "K":
                self.lines[self.row] = ""
            elif command == "m" or plain:
                if plain and self.at_start:
                    colour = re.match(r"(\x1b\[[0-9;]*m)*$", self.lines[self.row])
                    self.lines[self.row] = colour.group() if colour else ""
                    self.at_start = False
                self.lines[self.row] += plain or f"\x1b[{number}m"

    @property
    def text(self) -> str:
        """What is on it, without colours."""
        return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(self.lines))


def run(line: str, folder: Path, screen: Screen) -> list[str]:
    """Type the line, and run it in a pseudo-terminal. Returns the screen as it was at SHOWN %."""
    import fcntl  # not on Windows
    import pty
    import termios

    name, *arguments = line.split()
    module = f"dqn_cli.cli.{name.removeprefix('dqn-')}"
    screen.feed(f"\x1b[1m$ {line}\x1b[0m\n")
    shown: list[str] = []
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")
        os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        code = f"import sys; sys.argv[0] = {name!r}; from {module} import main; main()"
        os.execv(sys.executable, [sys.executable, "-c", code, *arguments])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    pending = b""
    while True:
        try:
            pending += os.read(terminal, 65536)
        except OSError:  # the other end is closed
            break
        whole = pending[: max(pending.rfind(REDRAW), 0)]  # all that is drawn, and not half of it
        screen.feed(whole.decode())
        pending = pending[len(whole) :]
        percent = re.search(r"^\s*(\d+) %", screen.text, re.MULTILINE)
        if not shown and percent and SHOWN <= int(percent[1]) < 100:
            shown = screen.lines[:]
    screen.feed(pending.decode())
    if status := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        sys.exit(f"{line}: exit code {status}\n" + "\n".join(screen.lines))
    return shown


def svg(lines: Sequence[str], title: str, name: str) -> str:
    """A window with these lines."""
    from rich.console import Console
    from rich.text import Text

    console = Console(
        record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="256"
    )
    for line in "\n".join(lines).rstrip().split("\n"):
        text = Text.from_ansi(line)
        for row in text.divide(range(COLUMNS, len(text), COLUMNS)):
            console.print(row, highlight=False)
    picture = console.export_svg(title=title, unique_id=name)
    return re.sub(r"\s*@font-face \{.*?\}", "", picture, flags=re.S)  # nothing is fetched


def stacked(pictures: Sequence[str]) -> str:
    """SVGs one below the other."""
    sizes = [re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', picture) for picture in pictures]
    width = max(float(size[1]) for size in sizes if size)
    top, parts = 0.0, []
    for picture, size in zip(pictures, sizes, strict=True):
        assert size
        place = f'<svg y="{top:g}" width="{size[1]}" height="{size[2]}"'
        parts.append(picture.replace("<svg", place, 1))
        top += float(size[2])
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {top:g}">'
    return "\n".join([head, *parts, "</svg>\n"])


def terminal() -> None:
    screen = Screen()
    with tempfile.TemporaryDirectory() as folder:
        run(WARM, Path(folder), Screen())
    with tempfile.TemporaryDirectory(prefix="dqn-") as folder:
        running = run(TRAIN, Path(folder), screen)
    pictures = [svg(running, "while it runs", "running"), svg(screen.lines, "at its end", "ended")]
    (IMAGES / "terminal.svg").write_text(stacked(pictures), encoding="utf-8")


def figures() -> None:
    def command(name: str, *arguments: str) -> None:
        code = f"from dqn_cli.cli.{name} import main; main()"
        subprocess.run([sys.executable, "-c", code, *arguments], check=True)

    if not (RUNS / "comparison.png").exists():
        command("train", "-m", *SWEEP, f"hydra.sweep.dir={RUNS}")
    for name, arguments in FIGURES.items():
        command("plot", str(RUNS), "-o", str(IMAGES / name), "--smooth", "10", *arguments)


ROOT = Path(__file__).resolve().parents[1]

if __name__ == "__main__":
    for name in sys.argv[1:] or ["terminal", "figures"]:
        {"terminal": terminal, "figures": figures}[name]()
