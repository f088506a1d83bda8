from pathlib import Path

from signoff.apps.locate import find_standard


def test_the_nearest_standard_applies(tmp_path: Path) -> None:
    inner = tmp_path / "team" / "notebooks"
    inner.mkdir(parents=True)
    assert find_standard(inner, {}) is None
    (tmp_path / "signoff.yaml").write_text("signoff: 1\n")
    assert find_standard(inner, {}) == tmp_path / "signoff.yaml"
    (tmp_path / "team" / "signoff.yaml").write_text("signoff: 1\n")
    assert find_standard(inner, {}) == tmp_path / "team" / "signoff.yaml"


def test_a_named_standard_wins_even_if_it_is_missing_so_that_the_mistake_is_seen(tmp_path: Path) -> None:
    (tmp_path / "signoff.yaml").write_text("signoff: 1\n")
    assert find_standard(tmp_path, {"SIGNOFF_STANDARD": "other.yaml"}) == tmp_path / "other.yaml"
    assert find_standard(tmp_path / "x", {"SIGNOFF_STANDARD": str(tmp_path)}) == tmp_path / "signoff.yaml"
    elsewhere = tmp_path / "a" / "b.yaml"
    assert find_standard(tmp_path, {"SIGNOFF_STANDARD": str(elsewhere)}) == elsewhere
