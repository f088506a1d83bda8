"""`signoff.log_bundle`: an AI application logged as one model, each component with its digest."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from signoff.adapters.bundle import files
from signoff.adapters.bundle.embedding import Progress
from signoff.adapters.bundle.model import BundleModel, checked_template
from signoff.adapters.bundle.passages import Passages, passages_of
from signoff.adapters.model_folder import hash_folder
from signoff.apps.client.run import store_errors, target_run
from signoff.apps.embeddings import embeddings_cache
from signoff.errors import ModelError, UsageError
from signoff.record.bundle import (
    BUNDLE_FILE,
    ROLES,
    Bundle,
    ExtractiveGenerator,
    OpenAIGenerator,
    bundle_of,
    component_digests,
)
from signoff.record.digest import Digest, Json

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedBundle:
    """A bundle among a run's logged models.

    Attributes:
        model_id: MLflow's id of the logged model.
        uri: from which `mlflow.pyfunc.load_model` loads it.
        components: role → digest.
    """

    model_id: str
    uri: str
    components: Mapping[str, Digest]


def log_bundle(
    *,
    components: Mapping[str, Mapping[str, Any]],
    passages: "pd.DataFrame",
    name: str = "model",
    example: str = "What can I ask here?",
    cache: Path | None = None,
    progress: Progress | None = None,
) -> LoggedBundle:
    """Log an AI application as one model of the active run, and what model type llm-app asks for as its params.

    The prompt is found in MLflow's prompt registry by its text, and registered there when it is not found.

    Args:
        components: role → what the component is: ``kind``, ``name``, ``version`` and ``settings``. The embedder
            has ``files`` too (file name → local path), the prompt ``template`` instead of a version.
        passages: what can be retrieved: columns ``id`` and ``text``.
        name: of the logged model.
        example: a question, as the model's input example.
        cache: folder for embeddings; the user's cache folder by default.
        progress: called with the passages embedded and their whole number.

    Returns:
        The logged model with the components' digests.

    Raises:
        UsageError: there is no active run, or a component lacks something.
        DataError: the passages cannot be used.
        ModelError: a setting is unknown or out of range, or the embedder does not load.
        StoreError: MLflow could not be reached, or refused.
    """
    import mlflow
    from mlflow.models import Model

    run = target_run(None, call="signoff.log_bundle")
    template = _template(components)
    given = passages_of(passages)
    _described(components, prompt_version="1")  # what is wrong is said before a prompt is registered
    with store_errors(run):
        prompt_version = _registered(str(components["prompt"].get("name", "")), template)
    bundle = _described(components, prompt_version=prompt_version)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        kept = embeddings_cache() if cache is None else cache
        digests = _write(bundle, folder, components, template, given, cache=kept, progress=progress)
        with store_errors(run):
            # Before the model: MLflow copies the run's params to it.
            mlflow.log_params(_params(bundle, digests))
            info = Model.log(
                artifact_path=None,
                name=name,
                flavor=files,
                flavor_name="signoff.bundle",
                prompts=[f"prompts:/{bundle.components.prompt.name}/{prompt_version}"],
                bundle=folder,
                example=example,
                validate_serving_input=False,
            )
    return LoggedBundle(model_id=str(info.model_id), uri=str(info.model_uri), components=digests)


class OpenBundle:
    """A bundle in memory that is not logged."""

    def __init__(self, model: BundleModel, *, embedder: Digest, cache: Path) -> None:
        self._model, self._embedder, self._cache = model, embedder, cache

    def predict(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        """Answer each row of a table with a column ``query``, as the logged bundle will.

        Raises:
            DataError: there is no such column, or a query is refused and the guardrails ask for an error.
            ModelError: the embedder fails.
        """
        if "query" in frame.columns:
            self._model.embed_ahead(frame["query"].tolist(), embedder=self._embedder, cache=self._cache)
        answers: pd.DataFrame = self._model.predict(frame)
        return answers


def open_bundle(
    *,
    components: Mapping[str, Mapping[str, Any]],
    passages: "pd.DataFrame",
    cache: Path | None = None,
    progress: Progress | None = None,
) -> OpenBundle:
    """An AI application in memory, to try settings on before one is logged; MLflow is not asked.

    Args:
        components: as for `log_bundle`.
        passages: as for `log_bundle`.
        cache: folder for embeddings, of queries too; the user's cache folder by default.
        progress: called with the passages embedded and their whole number.

    Raises:
        UsageError: a component lacks something.
        DataError: the passages cannot be used.
        ModelError: a setting is unknown or out of range, or the embedder does not load.
    """
    template = _template(components)
    given = passages_of(passages)
    bundle = _described(components, prompt_version="1")
    kept = embeddings_cache() if cache is None else cache
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        digests = _write(bundle, folder, components, template, given, cache=kept, progress=progress)
        return OpenBundle(BundleModel(folder), embedder=digests["embedder"], cache=kept)


def _write(
    bundle: Bundle,
    folder: Path,
    components: Mapping[str, Mapping[str, Any]],
    template: str,
    passages: Passages,
    *,
    cache: Path,
    progress: Progress | None,
) -> Mapping[str, Digest]:
    """Write the bundle's files; the components' digests."""
    files.write_entries(bundle, folder, template=template, embedder=_files(components["embedder"]))
    embedder = _digests(folder)["embedder"]
    files.write_index(bundle, folder, passages=passages, embedder=embedder, cache=cache, progress=progress)
    return _digests(folder)


def _template(components: Mapping[str, Mapping[str, Any]]) -> str:
    missing = [role for role in ROLES if role not in components]
    unknown = sorted(set(components) - set(ROLES))
    if missing or unknown:
        said = f"missing: {', '.join(missing)}" if missing else f"unknown: {', '.join(unknown)}"
        raise UsageError(f"a bundle has the components {', '.join(ROLES)}; {said}")
    template = components["prompt"].get("template")
    if not isinstance(template, str) or not template.strip():
        raise UsageError(
            "the prompt has no template", hint='{"name": "answer", "template": "… {{question}} …"}'
        )
    try:
        return checked_template(template)
    except ModelError as error:
        raise UsageError(error.what, where=error.where) from error


def _described(components: Mapping[str, Mapping[str, Any]], *, prompt_version: str) -> Bundle:
    """What `bundle.json` will say: without local paths and texts."""
    entries: dict[str, Json] = {
        role: {key: value for key, value in said.items() if (role, key) not in _NOT_SAID}
        for role, said in components.items()
    }
    prompt = {key: value for key, value in components["prompt"].items() if key != "template"}
    if "version" in prompt:
        raise UsageError("the prompt's version is the one that MLflow's prompt registry gives it")
    entries["prompt"] = {"kind": "template", **prompt, "version": prompt_version}
    return bundle_of({"format": 1, "components": entries})


_NOT_SAID = {("embedder", "files")}


def _files(embedder: Mapping[str, Any]) -> Mapping[str, Path]:
    return {str(name): Path(path) for name, path in dict(embedder.get("files", {})).items()}


def _registered(name: str, template: str) -> str:
    """The version of the prompt with this text, registered when there is none."""
    import mlflow

    client = mlflow.MlflowClient()
    latest = client.load_prompt(f"prompts:/{name}@latest", allow_missing=True, cache_ttl_seconds=0)
    for version in range(0 if latest is None else int(latest.version), 0, -1):
        found = client.load_prompt(name, version=version, allow_missing=True, cache_ttl_seconds=0)
        if found is not None and found.template == template:
            return str(version)
    return str(client.register_prompt(name, template).version)


def _digests(folder: Path) -> Mapping[str, Digest]:
    return component_digests((folder / BUNDLE_FILE).read_bytes(), hash_folder(folder))


def _params(bundle: Bundle, digests: Mapping[str, Digest]) -> Mapping[str, object]:
    """The params that model type llm-app asks for."""
    said = bundle.components
    params: dict[str, object] = {
        "prompt_version": f"{said.prompt.name}@{said.prompt.version}",
        "generator": f"{said.generator.name}@{said.generator.version}",
        "embedding_model": f"{said.embedder.name}@{said.embedder.version}",
        "retriever": f"{said.retriever.name}@{said.retriever.version}",
        "retriever.k": said.retriever.settings.k,
        "retriever.min_score": said.retriever.settings.min_score,
        "index_digest": str(digests["index"]),
        "guardrails": f"{said.guardrails.name}@{said.guardrails.version}",
        "guardrails.abstain_below": said.guardrails.settings.abstain_below,
    }
    generator = said.generator
    if isinstance(generator, OpenAIGenerator):
        params["generator.model"] = generator.settings.model
        params["generator.temperature"] = generator.settings.temperature
        params["generator.max_tokens"] = generator.settings.max_tokens
    if isinstance(generator, ExtractiveGenerator):
        params["generator.sentences"] = generator.settings.sentences
    return params
