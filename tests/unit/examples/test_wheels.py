import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from examples import wheels
from examples.wheels import Member

CONTENT = b"the file that is wanted\n"


def packed(folder: Path, content: bytes = CONTENT) -> str:
    """Write a wheel with one file; returns the wheel's checksum."""
    with zipfile.ZipFile(folder / "thing-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("thing/data.txt", content)
    return hashlib.sha256((folder / "thing-1.0-py3-none-any.whl").read_bytes()).hexdigest()


def member(wheel_sha256: str) -> Member:
    return wheels.Member(
        package="thing",
        version="1.0",
        wheel="thing-1.0-py3-none-any.whl",
        wheel_sha256=wheel_sha256,
        member="thing/data.txt",
        member_sha256=hashlib.sha256(CONTENT).hexdigest(),
        size="1 KB",
    )


def test_the_pinned_file_of_a_pinned_wheel_is_read_and_cached(tmp_path: Path) -> None:
    wanted = member(packed(tmp_path))
    assert wheels.fetch(wanted, tmp_path) == CONTENT
    path = wheels.fetch_file(wanted, tmp_path)
    assert path.read_bytes() == CONTENT
    path.write_bytes(b"changed in the cache")
    assert wheels.fetch_file(wanted, tmp_path).read_bytes() == CONTENT


def test_a_wheel_with_another_checksum_is_refused_and_stays(tmp_path: Path) -> None:
    packed(tmp_path)
    with pytest.raises(wheels.WheelError, match="expected 00000000"):
        wheels.fetch(member("0" * 64), tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] == [".whl"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"member": "thing/other.txt"}, "does not hold thing/other"),
        ({"member_sha256": "0" * 64}, "expected 0"),
    ],
)
def test_another_file_than_the_pinned_one_is_refused(
    tmp_path: Path, change: dict[str, str], said: str
) -> None:
    wanted = replace(member(packed(tmp_path)), **change)
    with pytest.raises(wheels.WheelError, match=said):
        wheels.fetch(wanted, tmp_path)


def test_without_a_registry_the_message_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(
        wheels.WheelError, match=r"could not download thing==1.0(.|\n)*copy thing-1.0"
    ) as raised:
        wheels.fetch(member("0" * 64), tmp_path)
    assert str(tmp_path) in str(raised.value)
