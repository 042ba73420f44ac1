"""The colours of variants on a light and on a dark page."""

from __future__ import annotations

from collections.abc import Sequence

DARK = "#15181c"  # the dark page's ground, as in page.css
CONTRAST = 4.5  # of a line and the ground; 3 is what WCAG asks of graphics


def css(colours: Sequence[str]) -> str:
    """Rules .c0, .c1 ... that set `color`."""
    light = "".join(f".c{i}{{color:{colour}}}" for i, colour in enumerate(colours))
    dark = "".join(f".c{i}{{color:{on_dark(colour)}}}" for i, colour in enumerate(colours))
    return f"{light}\n@media screen and (prefers-color-scheme:dark){{{dark}}}\n"


def on_dark(colour: str) -> str:
    """The colour (#rrggbb), with as much white as it takes to be seen on the dark ground; a grey,
    and black, turned over: it would be no more than another grey."""
    rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    if len(set(rgb)) == 1 and rgb[0] < 128:
        rgb = [240 - rgb[0] // 2] * 3
    for white in range(0, 101, 2):
        mixed = [round(c + (255 - c) * white / 100) for c in rgb]
        if contrast(mixed) >= CONTRAST:
            break
    return "#" + "".join(f"{c:02x}" for c in mixed)


def contrast(rgb: Sequence[int]) -> float:
    """WCAG's ratio of the colour and the dark ground."""
    ground = [int(DARK[i : i + 2], 16) for i in (1, 3, 5)]
    return (_luminance(rgb) + 0.05) / (_luminance(ground) + 0.05)


def _luminance(rgb: Sequence[int]) -> float:
    linear = [c / 3294.6 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
