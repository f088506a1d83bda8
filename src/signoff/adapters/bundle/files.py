"""A bundle's files: written from what a team gives, and saved as an MLflow model.

For `mlflow.models.Model.log` this module is a flavor: it has `save_model`.
"""

import shutil
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from signoff.adapters.bundle.embedding import (
    MODEL_FILE,
    TOKENIZER_FILE,
    Embedder,
    Progress,
    embed_all,
)
from signoff.adapters.bundle.index import FLAT_FILE, WORDS_FOLDER, write_flat, write_words
from signoff.adapters.bundle.passages import PASSAGES_FILE, Passages, write_passages
from signoff.adapters.bundle.words import words_of
from signoff.errors import ModelError, UsageError
from signoff.record.bundle import (
    BUNDLE_FILE,
    BUNDLE_LOADER,
    COMPONENT_FOLDER,
    PROMPT_FILE,
    Bundle,
    OnnxEmbedder,
    WordEmbedder,
    WordIndex,
    render_bundle,
)
from signoff.record.digest import Digest


def write_entries(bundle: Bundle, folder: Path, *, template: str, embedder: Mapping[str, Path]) -> None:
    """Write `bundle.json`, the prompt and the embedder's files.

    Args:
        bundle: what `bundle.json` says.
        folder: an empty folder.
        template: the prompt's text.
        embedder: file name → local file; for an ONNX embedder `MODEL_FILE` and `TOKENIZER_FILE`.

    Raises:
        UsageError: the embedder's files are not these two, or one is not there.
    """
    wanted = (MODEL_FILE, TOKENIZER_FILE) if bundle.dense else ()
    if set(embedder) != set(wanted):
        raise UsageError(
            f"the embedder's files are {', '.join(wanted) or 'none'}; given: {', '.join(embedder) or 'none'}"
        )
    components = folder / COMPONENT_FOLDER
    for name in ("embedder", "index", "prompt"):
        (components / name).mkdir(parents=True)
    (folder / BUNDLE_FILE).write_bytes(render_bundle(bundle))
    (components / "prompt" / PROMPT_FILE).write_bytes(template.encode())
    for name, path in embedder.items():
        if not path.is_file():
            raise UsageError(f"{path} is not a file", where=f"embedder file {name}")
        shutil.copyfile(path, components / "embedder" / name)


def write_index(
    bundle: Bundle,
    folder: Path,
    *,
    passages: Passages,
    embedder: Digest,
    cache: Path | None,
    progress: Progress | None,
) -> None:
    """Write the index of the passages into a folder that `write_entries` has filled.

    Args:
        bundle: what `bundle.json` says.
        folder: the folder.
        passages: what can be retrieved.
        embedder: digest of the embedder component, for the cache.
        cache: folder of the cache of embeddings; None for none.
        progress: told how many passages are embedded.

    Raises:
        ModelError: the embedder does not load or fails, or a library is not installed.
    """
    index = folder / COMPONENT_FOLDER / "index"
    (index / PASSAGES_FILE).write_bytes(write_passages(passages))
    entry = bundle.components.embedder
    if isinstance(entry, OnnxEmbedder):
        files = folder / COMPONENT_FOLDER / "embedder"
        loaded = Embedder(
            model=(files / MODEL_FILE).read_bytes(),
            tokenizer=(files / TOKENIZER_FILE).read_bytes(),
            settings=entry.settings,
        )
        vectors = embed_all(loaded, passages.texts, digest=embedder, cache=cache, progress=progress)
        (index / FLAT_FILE).write_bytes(write_flat(vectors))
        return
    (index / WORDS_FOLDER).mkdir()
    for name, data in _words(entry, bundle, passages).items():
        (index / WORDS_FOLDER / name).write_bytes(data)


def _words(entry: WordEmbedder, bundle: Bundle, passages: Passages) -> Mapping[str, bytes]:
    said = bundle.components.index
    if not isinstance(said, WordIndex):
        raise ModelError("a bundle by words has a BM25 index", where=BUNDLE_FILE)
    return write_words([words_of(text, entry.settings.stopwords) for text in passages.texts], said.settings)


def save_model(path: str, mlflow_model: Any, *, bundle: Path, example: str, **_: object) -> None:
    """Save a written bundle as an MLflow model; called by MLflow.

    Args:
        path: the model's folder, which is not there yet.
        mlflow_model: MLflow's record of the model, to be filled in and saved.
        bundle: the folder that `write_entries` and `write_index` have filled.
        example: a question, as the input example.
    """
    import mlflow
    import pandas as pd
    from mlflow.models.utils import _save_example
    from mlflow.utils.environment import _mlflow_conda_env, _PythonEnv

    folder = Path(path)
    shutil.copytree(bundle, folder)
    mlflow_model.signature = _signature()
    _save_example(mlflow_model, pd.DataFrame({"query": [example]}), path)
    mlflow.pyfunc.add_to_model(
        mlflow_model, loader_module=BUNDLE_LOADER, conda_env="conda.yaml", python_env="python_env.yaml"
    )
    mlflow_model.model_size_bytes = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    needed = [f"mlflow=={version('mlflow')}", f"signoff[assistant]=={version('signoff')}"]
    _mlflow_conda_env(path=str(folder / "conda.yaml"), additional_pip_deps=needed, install_mlflow=False)
    (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in needed), "utf-8")
    _PythonEnv.current().to_yaml(str(folder / "python_env.yaml"))
    mlflow_model.save(str(folder / "MLmodel"))


def _signature() -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Array

    ids = Array(DataType.string)
    answer = [
        ColSpec(DataType.string, "answer"),
        ColSpec(DataType.boolean, "abstained"),
        ColSpec(ids, "passages"),
        ColSpec(ids, "support"),
        ColSpec(DataType.string, "quote"),
        ColSpec(DataType.double, "cost"),
        ColSpec(DataType.string, "reason"),
        ColSpec(DataType.double, "score"),
    ]
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string, "query")]),
        outputs=Schema(answer),
    )
