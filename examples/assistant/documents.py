"""The assistant's documents, read from three Debian packages and cached.

Answers that people wrote down and keep correct, under free licences:

| package | documents | licence |
|---|---|---|
| perl-doc | Perl's FAQ, nine parts | Artistic or GPL-1+, examples in the public domain |
| python3.11-doc | Python's FAQ, eight parts | Python Software Foundation License 2 |
| debian-policy | Debian Policy, chapters and appendices | GPL-2+ |

The packages are downloaded with apt and never installed: only the documents are read. A package of another version
is taken when its documents are the pinned ones, byte for byte.

    python -m examples.assistant.documents      # prints the folder of the cached documents
"""

import fnmatch
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from examples.runner import DemoError
from examples.wheels import cache_folder


@dataclass(frozen=True, kw_only=True, slots=True)
class Package:
    """A Debian package with documents.

    Attributes:
        name: of the package.
        version: the one that was pinned.
        sha256: hex digest of that package file.
        documents: glob pattern of the documents inside.
        documents_sha256: hex digest of the documents' names and bytes, see `digest_of`.
        size: of the package file, for people.
    """

    name: str
    version: str
    sha256: str
    documents: str
    documents_sha256: str
    size: str

    @property
    def file(self) -> str:
        """Name of the package file, as apt writes it."""
        return f"{self.name}_{self.version.replace(':', '%3a')}_all.deb"


PACKAGES = (
    Package(
        name="perl-doc",
        version="5.36.0-7+deb12u4",
        sha256="f4269cff4576d6f02a6756df842988e58451c7e945b08517dd235531b24e48f8",
        documents="usr/share/perl/*/pod/perlfaq[1-9].pod",
        documents_sha256="04a3309194008670e10096c354e17e93b37b9e5eb017b7d0c98fb25f25e84d62",
        size="8 MB",
    ),
    Package(
        name="python3.11-doc",
        version="3.11.2-6+deb12u9",
        sha256="5b3594189d6ef9a6963ce0347fd307a1cc67620ad697e144db366070e2e146be",
        documents="usr/share/doc/python3.11/html/_sources/faq/*.rst.txt",
        documents_sha256="2c31d06903ec668209bd97a86dd2b2e913da6954dc73dfc4c623eb969ebac505",
        size="13 MB",
    ),
    Package(
        name="debian-policy",
        version="4.6.2.0",
        sha256="ef9d01b625c3b87c3a845c2cd1b66f1a16e9240b2b9e5bee53472a00e8457a39",
        documents="usr/share/doc/debian-policy/policy.html/_sources/[ac][hp]-*.rst.txt",
        documents_sha256="bef1857db2ce12ad3bc8a81c10881a7a8bccc85c1fe22c35a45b28a7fd7048f3",
        size="2 MB",
    ),
)
_QUIET = {"LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
Documents = Mapping[str, bytes]
"""Bytes of documents by file name."""


def documents_folder(cache: Path | None = None) -> Path:
    """Folder with one folder of documents per package, fetched on first use.

    Args:
        cache: folder for packages and documents; None: the examples' own.

    Raises:
        DemoError: a package cannot be had, or its documents are not the pinned ones.
    """
    base = (cache_folder() if cache is None else cache) / "debian"
    for package in PACKAGES:
        folder = base / "documents" / package.name
        if digest_of(_kept(folder)) != package.documents_sha256:
            _keep(folder, fetch(package, base))
    return base / "documents"


def fetch(package: Package, folder: Path) -> Documents:
    """The package's documents; the package is downloaded when the folder has none of its name.

    Raises:
        DemoError: it cannot be downloaded or read, or its documents are not the pinned ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pinned = folder / package.file
    file = pinned if pinned.is_file() else next(iter(sorted(folder.glob(f"{package.name}_*.deb"))), None)
    if file is None:
        file = _download(package, folder)
    documents = read(package, file)
    same_file = hashlib.sha256(file.read_bytes()).hexdigest() == package.sha256
    if digest_of(documents) == package.documents_sha256:
        return documents
    if same_file:
        raise DemoError(f"{file} is the pinned package, but not all of its documents were found in it")
    raise DemoError(
        f"{file.name} has other documents than the pinned {package.name} {package.version}\n"
        f"  hint: {_get(package, folder)}\n"
        f"        Nothing was deleted: move {file} away first. Or pin the new documents in documents.py,\n"
        f"        whose questions and figures then change: their digest is {digest_of(documents)}"
    )


def read(package: Package, file: Path) -> Documents:
    """The documents inside a package file, by their file name.

    Raises:
        DemoError: it is no Debian package, or two documents have one name.
    """
    if shutil.which("dpkg-deb") is None:
        raise DemoError(f"dpkg-deb is needed to read {file.name}; it is part of Debian and Ubuntu")
    done = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(file)], capture_output=True, check=False)  # noqa: S603, S607
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise DemoError(f"{file} cannot be read: {said}\n  hint: move it away to download it again")
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        for entry in archive:
            path = PurePosixPath(entry.name)
            wanted = fnmatch.fnmatchcase(str(path), package.documents)
            inside = archive.extractfile(entry) if wanted and entry.isfile() else None
            if inside is None:
                continue
            if path.name in found:
                raise DemoError(f"{file} holds two documents named {path.name}")
            found[path.name] = inside.read()
    return found


def digest_of(documents: Documents) -> str:
    """Hex digest over the names and digests of documents, in the order of their names."""
    lines = (f"{hashlib.sha256(documents[name]).hexdigest()}  {name}\n" for name in sorted(documents))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _download(package: Package, folder: Path) -> Path:
    """Let apt download the pinned version, else the one that it has; lists of packages of our own if need be."""
    if shutil.which("apt-get") is None:
        raise DemoError(f"apt-get is not installed\n  hint: {_get(package, folder)}")
    exact = f"{package.name}={package.version}"
    said = _apt(["download", exact], folder)
    if not (folder / package.file).is_file():
        own = _own_lists(folder)
        said = _apt([*own, "update"], folder)
        for wanted in (exact, package.name):
            if not list(folder.glob(f"{package.name}_*.deb")):
                said = _apt([*own, "download", wanted], folder)
    for file in sorted(folder.glob(f"{package.name}_*.deb")):
        return file
    raise DemoError(f"apt could not download {package.name}: {said}\n  hint: {_get(package, folder)}")


def _own_lists(folder: Path) -> list[str]:
    """Options with which apt keeps its lists below the folder, so that nobody has to be root."""
    for part in ("lists/partial", "archives/partial"):
        (folder / "apt" / part).mkdir(parents=True, exist_ok=True)
    return [
        "-o",
        f"Dir::State::Lists={folder / 'apt/lists'}",
        "-o",
        f"Dir::Cache={folder / 'apt'}",
    ]


def _apt(arguments: list[str], folder: Path) -> str:
    """Run apt-get in the folder; the last thing it said."""
    command = ["apt-get", "--quiet", "--quiet", *arguments]
    done = subprocess.run(  # noqa: S603
        command, cwd=folder, env=os.environ | _QUIET, capture_output=True, text=True, check=False
    )
    lines = [line for line in done.stderr.strip().splitlines() if line.startswith("E:")]
    return lines[-1].removeprefix("E: ") if lines else f"exit code {done.returncode}"


def _get(package: Package, folder: Path) -> str:
    return (
        f"get {package.file} ({package.size}) from a Debian 12 machine (`apt-get download {package.name}`) or from\n"
        f"        the Debian archive's snapshots (snapshot.debian.org), and put it into {folder}"
    )


def _kept(folder: Path) -> Documents:
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.is_dir() else {}


def _keep(folder: Path, documents: Documents) -> None:
    """Write the folder anew, all or nothing."""
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name, data in documents.items():
        (partial / name).write_bytes(data)
    shutil.rmtree(folder, ignore_errors=True)
    partial.replace(folder)


def main() -> int:
    """Print the folder; 2 when the documents cannot be had."""
    try:
        print(documents_folder())
    except (DemoError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
