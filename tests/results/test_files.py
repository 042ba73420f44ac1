from pathlib import Path

import pytest

from dqn_cli.results.files import beside, write_atomic, write_beside


def test_an_atomic_write_replaces_all_or_nothing(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    write_atomic(file, "first\n")
    write_atomic(file, b"second\n")
    assert file.read_bytes() == b"second\n"
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError):
        write_atomic(tmp_path / "taken", "x")  # a file cannot replace a directory
    assert sorted(p.name for p in tmp_path.iterdir()) == ["taken", "x.json"]  # nothing left over


@pytest.mark.parametrize("there", ["nothing", "a file", "a link", "a link to nothing"])
def test_a_temporary_file_is_a_new_one(tmp_path: Path, there: str) -> None:
    """Neither a link that was planted is followed, nor is what a killed process left in the way."""
    other = tmp_path / "other"
    if there != "a link to nothing":
        other.write_text("precious")
    file = tmp_path / "run/x.json"
    file.parent.mkdir()
    if there == "a file":
        beside(file).write_text("left over")
    elif there != "nothing":
        beside(file).symlink_to(other)
    write_atomic(file, "first")
    assert file.read_text() == "first" and not file.is_symlink()
    assert other.exists() is (there != "a link to nothing")
    assert not other.exists() or other.read_text() == "precious"
    assert [path.name for path in file.parent.iterdir()] == ["x.json"]


def test_a_link_planted_at_the_last_moment_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "other")
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
    with pytest.raises(FileExistsError):
        write_beside(tmp_path / "link", b"x", durable=False)
    assert not (tmp_path / "other").exists()
