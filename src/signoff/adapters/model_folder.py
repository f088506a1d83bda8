"""A model's files on disk: copied, hashed, checked for formats that run code, and only then loaded.

The order is the safety: files are copied to a private folder, the copy is hashed, the caller compares the
digest, and the copy is loaded. Whatever rewrites the original in between changes nothing that is loaded.
"""

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import unquote, urlparse

from signoff.errors import ModelError, StoreError
from signoff.record.bundle import BUNDLE_LOADER, BUNDLE_PATHS
from signoff.record.digest import Digest, FileDigest, folder_digest
from signoff.record.mlmodel import read_mlmodel
from signoff.record.schema import SchemaRecord

MLMODEL = "MLmodel"
_READERS_MARK = "registered_model_meta"
"""MLflow writes this file into a model's own folder whenever somebody loads a registered version from local
artifacts. It is no part of the model: it is left out of the copy, and so of the digest."""
_SAFE_LOADER, _SAFE_SUFFIX = "mlflow.sklearn", ".skops"
"""The one format that is loaded while pickles are refused. It is opened here and by skops, never by MLflow: MLflow's
loaders follow settings of the MLmodel file, and of MLmodel files in folders below, into unpickling."""

_TRUSTED_TYPES = ("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",)
"""Types beyond skops' own list that a model file may name: no code runs on loading this one, but a file made
by an attacker could crash the process, which ends the command without a verdict."""


_FILE_SETTINGS = ("data", "model_path", "pickled_model", "model_data")
"""Flavor settings that name a file or folder of the model."""
_CODE_SETTINGS = ("code", "model_code_path")
"""Flavor settings that name Python code of the model's own."""
_BUNDLE_SETTINGS = frozenset({"loader_module", "python_version", "env"})
"""All that the MLmodel file of a bundle says for python_function."""
_CODE_SUFFIXES = (".py", ".pyc", ".pth", ".so", ".pkl", ".pickle")
_LOG_AGAIN = "log the model again with mlflow.<flavor>.log_model"


class Download(Protocol):
    """Copies a remote artifact folder into a local one."""

    def __call__(self, uri: str, into: Path) -> None:
        """Copy what is at the URI into the folder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFolder:
    """A private copy of a model's files.

    Attributes:
        path: the folder.
        digest: of all files in it.
        files: each file with its digest.
        mlmodel: the parsed MLmodel file.
    """

    path: Path
    digest: Digest
    files: tuple[FileDigest, ...]
    mlmodel: Mapping[str, Any]

    @property
    def inputs(self) -> SchemaRecord:
        """The signature's input columns.

        Raises:
            ModelError: the model has no signature, or one of tensors without names.
        """
        schema = read_mlmodel((self.path / MLMODEL).read_bytes()).inputs
        if schema is None or not schema.columns:
            raise ModelError(
                "the model has no signature",
                where=str(self.mlmodel.get("artifact_path", "model")),
                hint="log it with signature=mlflow.models.infer_signature(X, model.predict(X)) and input_example=X.head()",
            )
        return schema

    @property
    def loader(self) -> str:
        """The MLflow module that loads it."""
        return str(self.flavors.get("python_function", {}).get("loader_module", ""))

    @property
    def model_file(self) -> Path:
        """The file that holds the model itself."""
        function = self.flavors.get("python_function", {})
        return self.path / str(function.get("model_path") or function.get("data") or ".")

    @property
    def flavors(self) -> Mapping[str, Mapping[str, Any]]:
        """Each flavor's settings in the MLmodel file."""
        found = self.mlmodel.get("flavors")
        if not isinstance(found, Mapping):
            return {}
        return {str(name): said for name, said in found.items() if isinstance(said, Mapping)}


def copy_model(uri: str, into: Path, *, download: Download) -> ModelFolder:
    """Copy a model's files and hash the copy.

    Args:
        uri: where its artifacts are: a local path, a ``file:`` URI, or what ``download`` understands.
        into: an empty private folder.
        download: fetches remote artifacts.

    Raises:
        StoreError: the files are not there.
        ModelError: the folder holds no readable MLmodel file, or a link.
    """
    local = _local_path(uri)
    if local is None:
        download(uri, into)
    else:
        if not local.is_dir():
            raise StoreError(
                "the model's files are not there", where=str(local), hint="were the run's artifacts deleted?"
            )
        try:
            shutil.copytree(local, into, dirs_exist_ok=True, symlinks=True)
        except OSError as error:  # shutil's own error lists the files
            raise StoreError(f"the model's files cannot be copied: {error}", where=str(local)) from error
    mark = into / _READERS_MARK
    if mark.is_file():
        mark.unlink()
    return read_folder(into)


def read_folder(folder: Path) -> ModelFolder:
    """Hash a private copy that is there already.

    Raises:
        ModelError: it holds no readable MLmodel file, or a link.
    """
    files = hash_folder(folder)
    return ModelFolder(path=folder, digest=folder_digest(files), files=files, mlmodel=_read_mlmodel(folder))


def local_model(uri: str) -> ModelFolder | None:
    """A model's files where they lie, for showing only: loading starts with a copy.

    Args:
        uri: where its artifacts are.

    Returns:
        None when they are remote or not there.

    Raises:
        ModelError: something among them is a link, or there is no readable MLmodel file.
    """
    local = _local_path(uri)
    if local is None or not local.is_dir():
        return None
    files = tuple(file for file in hash_folder(local) if file.path != _READERS_MARK)
    return ModelFolder(path=local, digest=folder_digest(files), files=files, mlmodel=_read_mlmodel(local))


def _local_path(uri: str) -> Path | None:
    parsed = urlparse(uri)
    if parsed.scheme == "file":
        return Path(unquote(parsed.path))
    return Path(uri) if parsed.scheme == "" else None


def hash_folder(folder: Path) -> tuple[FileDigest, ...]:
    """Digests of all files below a folder, by path.

    Raises:
        ModelError: something in it is a link: its bytes are elsewhere and cannot be vouched for.
    """
    found: list[FileDigest] = []
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise ModelError("a link among the model's files", where=path.relative_to(folder).as_posix())
        if path.is_file():
            with path.open("rb") as file:
                digest = Digest(hashlib.file_digest(file, "sha256").hexdigest())
            found.append(
                FileDigest(path=path.relative_to(folder).as_posix(), size=path.stat().st_size, digest=digest)
            )
    return tuple(found)


def _read_mlmodel(folder: Path) -> Mapping[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    path = folder / MLMODEL
    if not path.is_file():
        raise ModelError(
            "the folder holds no MLmodel file", hint="log the model with mlflow.<flavor>.log_model"
        )
    try:
        document = YAML(typ="safe", pure=True).load(path.read_text("utf-8"))
    except (YAMLError, ValueError, RecursionError) as error:
        raise ModelError("the MLmodel file is not readable YAML", hint=_LOG_AGAIN) from error
    if not isinstance(document, dict):
        raise ModelError("the MLmodel file is not a mapping", hint=_LOG_AGAIN)
    return document


def refuse_unsafe(model: ModelFolder, *, pickle: Literal["refused", "allowed"]) -> None:
    """Refuse formats whose loading runs code from the file, unless the standard allows them.

    Raises:
        ModelError: the model would have to be unpickled, or brings code of its own; or, also when that is
            allowed, its MLmodel file names files outside of the folder, which nobody has approved.
    """
    _refuse_files_outside(model)
    if model.loader == BUNDLE_LOADER:
        _refuse_other_than_bundle(model)
        return
    if pickle == "allowed":
        return
    hint = (
        'log it with mlflow.sklearn.log_model(…, serialization_format="skops"),'
        " or set `gate: {pickle: allowed}` for this use case in the standard"
    )
    if model.loader != _SAFE_LOADER or model.model_file.suffix != _SAFE_SUFFIX:
        raise ModelError(
            f"loading {model.model_file.name or 'it'} with {model.loader or 'no known loader'} may run code from"
            " the model's files",
            where=str(model.mlmodel.get("model_id") or MLMODEL),
            hint=hint,
        )
    name = model.model_file.relative_to(model.path).as_posix()
    if name not in {file.path for file in model.files} or "/" in name:
        raise ModelError("the model's file is not where the MLmodel file says", where=name, hint=_LOG_AGAIN)
    code = next((f.path for f in model.files if f.path.casefold().endswith(_CODE_SUFFIXES)), None)
    named = (said.get(key) for said in model.flavors.values() for key in _CODE_SETTINGS)
    code = code or next((str(folder) for folder in named if folder), None)
    if code is not None:
        raise ModelError("the model brings code of its own", where=code, hint=hint)


def _refuse_other_than_bundle(model: ModelFolder) -> None:
    """A bundle is data that our own code reads; whatever else stands in its folder could be loaded by others."""
    function = model.flavors.get("python_function", {})
    other = sorted({file.path for file in model.files} - BUNDLE_PATHS)
    said = sorted({*model.flavors} - {"python_function"}) + sorted({*function} - _BUNDLE_SETTINGS)
    if other or said:
        raise ModelError(
            f"a bundle holds data only; this one has {', '.join((other or said)[:3])}",
            where=other[0] if other else MLMODEL,
            hint="log it again with signoff.log_bundle",
        )


def _refuse_files_outside(model: ModelFolder) -> None:
    root = model.path.resolve()
    for flavor, said in model.flavors.items():
        for key in (*_FILE_SETTINGS, *_CODE_SETTINGS):
            name = said.get(key)
            if name is not None and not (root / str(name)).resolve().is_relative_to(root):
                raise ModelError(
                    f"{flavor}.{key} in the MLmodel file points outside of the model's folder: {name}",
                    where=MLMODEL,
                    hint=_LOG_AGAIN,
                )


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenModel:
    """A model in memory.

    Attributes:
        classes: the classes it knows, in the order of its probabilities; None when it does not say.
        loaded: the object that the format's library made.
    """

    classes: tuple[Any, ...] | None
    loaded: Any

    def __call__(self, method: str, frame: Any) -> Any:
        """Its answer for a frame.

        Raises:
            AttributeError: it has no such method.
        """
        return getattr(self.loaded, method)(frame)


def open_model(model: ModelFolder, *, pickle: Literal["refused", "allowed"]) -> OpenModel:
    """Load a model whose digest the caller has compared.

    Raises:
        ModelError: its format is refused, or it does not load.
    """
    refuse_unsafe(model, pickle=pickle)
    try:
        loaded = _load(model)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"the model does not load: {type(error).__name__}: {error}") from error
    classes = getattr(loaded, "classes_", None)
    return OpenModel(classes=None if classes is None else tuple(classes.tolist()), loaded=loaded)


def _load(model: ModelFolder) -> Any:
    if (model.loader, model.model_file.suffix) == (_SAFE_LOADER, _SAFE_SUFFIX):
        import skops.io

        # MLflow would trust whatever types the model's own MLmodel file lists; only ours are trusted.
        found = skops.io.get_untrusted_types(file=model.model_file)
        refused = sorted(set(found) - set(_TRUSTED_TYPES))
        if refused:
            raise ModelError(
                f"the model file names types that are not trusted: {', '.join(refused)}",
                where=model.model_file.name,
                hint="build the model from scikit-learn, NumPy and SciPy types only",
            )
        return skops.io.load(model.model_file, trusted=list(found))
    if model.loader == BUNDLE_LOADER:
        return import_module(BUNDLE_LOADER)._load_pyfunc(str(model.path))  # noqa: SLF001 - MLflow's name for it
    import mlflow.pyfunc

    return mlflow.pyfunc.load_model(str(model.path))
