"""What a decision needs is found out before it, once, and forgotten after it."""

import pytest

from signoff.errors import ModelError
from signoff.release.guard.ahead import NotReadError, found_ahead, reading_ahead


def test_without_a_lock_it_is_found_out_at_once() -> None:
    assert found_ahead("a", lambda: 1) == 1
    NotReadError("a", lambda: 1).read()
    assert found_ahead("a", lambda: 2) == 2


def test_inside_it_is_found_out_between_two_tries() -> None:
    asked: list[str] = []

    def find_out() -> str:
        asked.append("a")
        return "found"

    for times in (1, 2):
        with reading_ahead():
            with pytest.raises(NotReadError) as missing:
                found_ahead("a", find_out)
            assert len(asked) == times - 1
            missing.value.read()
            assert [found_ahead("a", find_out) for _ in range(3)] == ["found"] * 3
        assert len(asked) == times


def test_why_it_could_not_be_found_out_is_met_by_the_decision() -> None:
    def find_out() -> str:
        raise ModelError("the files are gone")

    with reading_ahead():
        with pytest.raises(NotReadError) as missing:
            found_ahead("a", find_out)
        missing.value.read()
        with pytest.raises(ModelError, match="gone"):
            found_ahead("a", find_out)
