"""What this process runs on: installed packages, interpreter, machine. No import of a library, no subprocess."""

import os
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path

from signoff.record.environment import EnvironmentRecord

LIBRARIES = (
    "mlflow",
    "numpy",
    "pandas",
    "scikit-learn",
    "skops",
    "xgboost",
    "lightgbm",
    "catboost",
    "torch",
    "tensorflow",
    "transformers",
    "statsmodels",
    "pyspark",
)
"""Libraries whose versions the runtime tag shows, when they are installed."""

VARIABLES = (
    "CUDA_VISIBLE_DEVICES",
    "LANG",
    "MKL_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "PYTHONHASHSEED",
    "TZ",
)
"""The only environment variables ever recorded; none can hold a secret."""

IMAGES = ("SIGNOFF_IMAGE", "CONTAINER_IMAGE", "DOCKER_IMAGE", "IMAGE_NAME")
DATABRICKS = "DATABRICKS_RUNTIME_VERSION"

_METADATA = (".dist-info", ".egg-info")
_seen: dict[str, tuple[int, tuple[str, ...]]] = {}
"""Per entry of ``sys.path``: when it was last modified, and the metadata folders in it then."""
_packages: dict[tuple[tuple[str, ...], ...], str] = {}


def current_environment(environ: Mapping[str, str], *, full: bool) -> EnvironmentRecord:
    """The environment of this process.

    Args:
        environ: environment variables.
        full: whether to look at machine, container and drivers as well.
    """
    return EnvironmentRecord(
        python=platform.python_version(),
        packages=frozen_packages(),
        platform=platform_facts(environ) if full else {},
    )


def frozen_packages() -> str:
    """One ``name==version`` line per installed distribution, sorted, each ended by a newline.

    Kept per process until a package appears in ``sys.path`` or goes, as when a notebook installs one.
    """
    key = tuple((entry, *_installed(entry or ".")) for entry in sys.path)
    if key not in _packages:
        _packages.clear()
        _packages[key] = _freeze()
    return _packages[key]


def runtime(packages: str, environ: Mapping[str, str]) -> str:
    """Versions of the libraries that people look for first, such as ``mlflow 3.17.2; numpy 2.1.0``."""
    versions: dict[str, str] = {}
    for line in packages.splitlines():
        name, _, version = line.partition("==")
        versions[_normal(name)] = version
    if "mlflow-skinny" in versions:
        versions.setdefault("mlflow", versions["mlflow-skinny"])
    parts = [f"{name} {versions[name]}" for name in LIBRARIES if name in versions]
    if databricks := environ.get(DATABRICKS):
        parts.append(f"databricks {databricks}")
    return "; ".join(parts)


def platform_facts(environ: Mapping[str, str]) -> dict[str, str]:
    """Operating system, machine, container and driver, as far as they can be read without asking a program."""
    facts = {
        "os": _operating_system(),
        "machine": platform.machine(),
        "cpus": str(os.cpu_count() or ""),
        "memory": _memory(),
        "image": _image(environ),
        "gpu_driver": _first_line("/proc/driver/nvidia/version"),
        "variables": "; ".join(f"{name}={environ[name]}" for name in VARIABLES if environ.get(name)),
    }
    return {name: value for name, value in facts.items() if value}


def _freeze() -> str:
    found: dict[str, str] = {}
    for distribution in distributions():
        name, version = _name_and_version(distribution)
        if name and version:
            # The first on sys.path is the one that Python imports.
            found.setdefault(_normal(name), f"{name}=={version}\n")
    return "".join(sorted(found.values()))


def _name_and_version(distribution: Distribution) -> tuple[str | None, str | None]:
    # Reading two header lines instead of parsing e-mail headers is twenty times faster.
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    name = version = None
    for line in text.split("\n", 40)[:40]:
        if line.startswith("Name:"):
            name = line[5:].strip()
        elif line.startswith("Version:"):
            version = line[8:].strip()
        elif not line.strip():
            break
    return name, version


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def _installed(folder: str) -> tuple[str, ...]:
    """Names of the metadata folders in a folder; they carry the version. Listed only after a change."""
    try:
        modified = os.stat(folder).st_mtime_ns  # noqa: PTH116 - for each entry of sys.path, on every run
        if folder not in _seen or _seen[folder][0] != modified:
            names = sorted(name for name in os.listdir(folder) if name.endswith(_METADATA))  # noqa: PTH208
            _seen[folder] = (modified, tuple(names))
    except OSError:
        return ()
    return _seen[folder][1]


def _operating_system() -> str:
    kernel = f"{platform.system()} {platform.release()}"
    try:
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']} ({kernel})"
    except (OSError, KeyError):
        return kernel


def _memory() -> str:
    """Bytes that this process may use, as GiB: of the machine, or of its control group where that is less."""
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return ""
    limit = _first_line("/sys/fs/cgroup/memory.max")
    if limit.isdigit():
        size = min(size, int(limit))
    return f"{size / 2**30:.1f} GiB"


def _image(environ: Mapping[str, str]) -> str:
    for name in IMAGES:
        if image := environ.get(name):
            return image
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    for line in mounts.splitlines():
        _, found, rest = line.partition("/containers/")
        if found and len(identifier := rest.split("/", 1)[0]) == 64:
            return f"container {identifier[:12]}"
    return ""


def _first_line(path: str) -> str:
    try:
        with Path(path).open(encoding="utf-8", errors="replace") as file:
            return file.readline().strip()
    except OSError:
        return ""
