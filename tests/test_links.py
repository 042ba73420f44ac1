"""Every relative link and image of the documents leads somewhere, to the heading that it names."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS]
IMAGES = sorted(path for path in (ROOT / "docs/images").iterdir() if path.suffix != ".py")
HIDDEN = re.compile(r"^```.*?^```|<!--.*?-->", re.DOTALL | re.MULTILINE)  # code, comments
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def prose(page: Path) -> str:
    return HIDDEN.sub("", page.read_text(encoding="utf-8"))


def links(page: Path) -> list[str]:
    text = re.sub(r"`[^`\n]*`", "", prose(page))
    return [target for target in LINK.findall(text) if "://" not in target]


def anchors(page: Path) -> set[str]:
    """As GitHub makes them from headings: a heading that occurs again has a number."""
    found: dict[str, int] = {}
    names = set()
    for heading in re.findall(r"^#+ +(.*?)\s*$", prose(page), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        count = found.get(name, 0)
        found[name] = count + 1
        names.add(f"{name}-{count}" if count else name)
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_links_are_found() -> None:
    assert "docs/images/comparison.png" in links(ROOT / "README.md")
    assert sum("#" in link for page in PAGES for link in links(page)) > 3


def test_every_page_is_listed() -> None:
    assert {page.name for page in DOCS} - {"README.md"} <= set(links(ROOT / "docs/README.md"))


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
def test_an_image_is_shown_and_small(image: Path) -> None:
    shown = {(page.parent / link).resolve() for page in PAGES for link in links(page)}
    assert image.resolve() in shown
    assert image.stat().st_size < 150_000
