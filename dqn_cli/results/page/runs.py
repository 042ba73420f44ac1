"""What a page says about each run: where it is, how it was made, and how to make it again."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import yaml

from dqn_cli.results.labels import flatten
from dqn_cli.results.page.command import command
from dqn_cli.results.page.markup import Html, element, join, table
from dqn_cli.results.reader import Run
from dqn_cli.results.report import number
from dqn_cli.results.variants import NOT_COMPARED, Panel, Variant, env_of

STATUS = {"running": "running, or killed", None: "no summary"}
GIF_BYTES = 300_000
GIFS_BYTES = 1_000_000  # in all
CONFIGS = 300_000  # characters of all runs' configurations


def differences(panels: Sequence[Panel]) -> Html:
    """A row per variant, a column per choice or key in which they differ; nothing for one variant.
    Where a choice differs, the class that it stands for goes without saying."""
    runs: dict[int, list[Run]] = {}
    labels: dict[int, str] = {}
    for variant in (v for panel in panels for v in panel.variants):
        runs.setdefault(variant.index, []).extend(variant.runs)
        labels[variant.index] = variant.label
    columns: dict[str, list[str]] = {}
    flat = {i: [flatten(run.config) for run in each] for i, each in runs.items()}
    groups = dict.fromkeys(g for each in runs.values() for run in each for g in run.choices)
    for group in groups:
        columns[group] = [_values([run.choices.get(group) for run in runs[i]]) for i in labels]
    for key in dict.fromkeys(key for each in flat.values() for one in each for key in one):
        if key not in NOT_COMPARED and not (key.endswith("._target_") and key[:-9] in groups):
            columns[key] = [_values([one.get(key) for one in flat[i]]) for i in labels]
    differing = {key: values for key, values in columns.items() if len(set(values)) > 1}
    if not differing:
        return Html("")
    head = ["variant", *differing]
    lines = zip(labels.values(), *differing.values(), strict=True)
    return table([head, *map(list, lines)], words=len(head))


def _values(found: Sequence[str | None]) -> str:
    return ", ".join(dict.fromkeys("-" if value is None else value for value in found))


def provenance(panels: Sequence[Panel]) -> Html:
    """Every run, closed; inside it its facts, its command and its configuration."""
    room = CONFIGS
    cards = []
    for variant in (v for panel in panels for v in panel.variants):
        for run in variant.runs:
            config = yaml.safe_dump(run.config, sort_keys=False, allow_unicode=True)
            room -= len(config)
            cards.append(_card(run, variant, config if room >= 0 else None))
    return join(cards)


def _card(run: Run, variant: Variant, config: str | None) -> Html:
    summary = run.summary
    status = summary.get("status")
    said = STATUS.get(status, status) if isinstance(status, str | None) else status
    speed = summary.get("env_steps_per_second")
    versions = summary.get("versions")
    facts = {
        "variant": variant.label,
        "environment": env_of(run),
        "status": said if not summary.get("error") else f"{said}: {summary['error']}",
        "seeds": _seeds(run),
        "env steps per second": number(speed) if type(speed) in (int, float) else None,
        "device": summary.get("device"),
        "kernels": summary.get("kernels"),
        "observation": summary.get("observation"),
        "versions": ", ".join(f"{k} {v}" for k, v in versions.items())
        if isinstance(versions, dict)
        else None,
    }
    rows = [
        join([element("dt", name), element("dd", str(value))])
        for name, value in facts.items()
        if value not in (None, "")
    ]
    whole = (
        element("details", element("summary", "Whole configuration"), element("pre", config))
        if config is not None
        else element("p", "Its configuration is in config.yaml: this page would be too large.")
    )
    head = element(
        "summary",
        element("code", str(run.path)),
        element("span", str(said), kind=f"status {'good' if status == 'finished' else 'other'}"),
    )
    again = element("pre", command(run), kind="command")
    return element(
        "details",
        head,
        element("dl", join(rows)),
        element("p", "Make it again:"),
        again,
        whole,
        kind="run",
    )


def _seeds(run: Run) -> str:
    text = ", ".join(map(str, run.scores))
    return text + (f"; diverged: {', '.join(map(str, run.diverged))}" if run.diverged else "")


def recordings(runs: Sequence[Run]) -> Html:
    """The small GIFs that lie in run directories, inside the page."""
    room = GIFS_BYTES
    figures = []
    for run in runs:
        for file in sorted([*run.path.glob("*.gif"), *run.path.glob("*/*.gif")]):
            data = _gif(file)
            if data is None or len(data) > room:
                continue
            room -= len(data)
            source: Any = f"data:image/gif;base64,{base64.b64encode(data).decode()}"
            name = str(file)
            figures.append(
                element("figure", element("img", src=source, alt=name), element("figcaption", name))
            )
    return join(figures)


def _gif(file: Any) -> bytes | None:
    """Its bytes if it is one, and small."""
    try:
        if not file.is_file() or file.stat().st_size > GIF_BYTES:
            return None
        data: bytes = file.read_bytes()
    except OSError:
        return None
    return data if data.startswith((b"GIF87a", b"GIF89a")) and len(data) <= GIF_BYTES else None
