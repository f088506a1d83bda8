"""An AI application as one unit: which components it has, with which settings, and the digest of each.

`bundle.json` stands in the model's folder and says what each component is; the component's own files stand in
``components/<role>/``. There is data only: no field names code, a file elsewhere, or a secret.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from signoff.errors import EvidenceError, ModelError
from signoff.record.digest import Digest, FileDigest, Json

BUNDLE_FILE = "bundle.json"
COMPONENT_FOLDER = "components"
PROMPT_FILE = "template.txt"
ROLES = ("embedder", "index", "retriever", "prompt", "generator", "guardrails")
"""The components of a bundle, in the order in which a question meets them; a bundle has each once."""
BUNDLE_LOADER = "signoff.adapters.bundle"
"""The loader module that an MLmodel file of a bundle names."""

BUNDLE_PATHS = frozenset(
    {
        BUNDLE_FILE,
        "components/embedder/model.onnx",
        "components/embedder/tokenizer.json",
        "components/index/passages.jsonl",
        "components/index/index.faiss",
        "components/index/bm25/data.csc.index.npy",
        "components/index/bm25/indices.csc.index.npy",
        "components/index/bm25/indptr.csc.index.npy",
        "components/index/bm25/vocab.index.json",
        "components/prompt/template.txt",
        # What MLflow writes beside every model:
        "MLmodel",
        "conda.yaml",
        "python_env.yaml",
        "requirements.txt",
        "input_example.json",
        "serving_input_example.json",
    }
)
"""Every file that a bundle may hold; all of them are data."""

_MOST_BYTES = 1_000_000
Text: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200)]
Score: TypeAlias = Annotated[float, Meta(ge=-1.0, le=1.0)]


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value that knows exactly its fields."""


class _Component(_Strict, frozen=True, kw_only=True):
    """What every component has."""

    name: Text
    version: Text


class NoSettings(_Strict, frozen=True, kw_only=True):
    """Nothing to set."""


class OnnxSettings(_Strict, frozen=True, kw_only=True):
    """How texts become vectors.

    Attributes:
        max_tokens: tokens of a text that count; the rest is cut off.
        pooling: ``mean`` of all tokens' vectors, or that of the first token (``cls``).
    """

    max_tokens: Annotated[int, Meta(ge=8, le=8192)] = 256
    pooling: Literal["mean", "cls"] = "mean"


class OnnxEmbedder(_Component, frozen=True, kw_only=True, tag_field="kind", tag="onnx"):
    """A sentence embedder: ``model.onnx`` and ``tokenizer.json``."""

    settings: OnnxSettings = OnnxSettings()


class WordSettings(_Strict, frozen=True, kw_only=True):
    """Which words count: ``english`` leaves out Lucene's 33 most common ones."""

    stopwords: Literal["english", "none"] = "english"


class WordEmbedder(_Component, frozen=True, kw_only=True, tag_field="kind", tag="bm25"):
    """No vectors: texts are compared by their words."""

    settings: WordSettings = WordSettings()


class FlatIndex(_Component, frozen=True, kw_only=True, tag_field="kind", tag="flat"):
    """All passages' vectors, compared one by one (``index.faiss``), and ``passages.jsonl``."""

    settings: NoSettings = NoSettings()


class WordIndexSettings(_Strict, frozen=True, kw_only=True):
    """Okapi BM25's two constants (Robertson and Zaragoza 2009, section 3.5)."""

    k1: Annotated[float, Meta(gt=0.0, le=10.0)] = 1.5
    b: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.75


class WordIndex(_Component, frozen=True, kw_only=True, tag_field="kind", tag="bm25"):
    """The words of all passages (``bm25/``), and ``passages.jsonl``."""

    settings: WordIndexSettings = WordIndexSettings()


class RetrieverSettings(_Strict, frozen=True, kw_only=True):
    """What is retrieved.

    Attributes:
        k: most passages per query.
        min_score: passages that score less are left out. Dense scores are cosines; a BM25 score is divided by
            the best that the query's words could reach, so that it lies between 0 and 1.
    """

    k: Annotated[int, Meta(ge=1, le=100)] = 5
    min_score: Score = 0.0


class DenseRetriever(_Component, frozen=True, kw_only=True, tag_field="kind", tag="dense"):
    """By the cosine of vectors."""

    settings: RetrieverSettings = RetrieverSettings()


class WordRetriever(_Component, frozen=True, kw_only=True, tag_field="kind", tag="bm25"):
    """By BM25."""

    settings: RetrieverSettings = RetrieverSettings()


class Prompt(_Component, frozen=True, kw_only=True, tag_field="kind", tag="template"):
    """A prompt of MLflow's registry by name and version, and its text in ``template.txt``."""

    version: Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,8}$")]
    settings: NoSettings = NoSettings()


class ExtractiveSettings(_Strict, frozen=True, kw_only=True):
    """How many sentences an answer quotes."""

    sentences: Annotated[int, Meta(ge=1, le=10)] = 1


class ExtractiveGenerator(_Component, frozen=True, kw_only=True, tag_field="kind", tag="extractive"):
    """The answer is quoted from the passages; nothing in a passage is followed."""

    settings: ExtractiveSettings = ExtractiveSettings()


class OpenAISettings(_Strict, frozen=True, kw_only=True):
    """An endpoint that speaks OpenAI's chat completions.

    Attributes:
        model: the model id asked for.
        base_url_env: environment variable with the address up to and including ``/v1``. The names are kept to
            a prefix, so that a bundle cannot ask for another program's variables.
        key_env: environment variable with the key; sent when it is set.
        temperature: of the answer.
        max_tokens: of the answer.
        timeout_s: seconds for one request, from start to last byte.
        price_per_1000_tokens: of prompt and answer, in the team's currency.
        seed: for endpoints that take one; None for none.
    """

    model: Text
    base_url_env: Annotated[str, Meta(pattern=r"^SIGNOFF_GENERATOR_[A-Z0-9_]*URL$")] = "SIGNOFF_GENERATOR_URL"
    key_env: Annotated[str, Meta(pattern=r"^SIGNOFF_GENERATOR_[A-Z0-9_]*KEY$")] = "SIGNOFF_GENERATOR_KEY"
    temperature: Annotated[float, Meta(ge=0.0, le=2.0)] = 0.0
    max_tokens: Annotated[int, Meta(ge=1, le=8192)] = 256
    timeout_s: Annotated[float, Meta(gt=0.0, le=600.0)] = 30.0
    price_per_1000_tokens: Annotated[float, Meta(ge=0.0, le=1000.0)] = 0.0
    seed: int | None = None


class OpenAIGenerator(_Component, frozen=True, kw_only=True, tag_field="kind", tag="openai"):
    """The answer is written by a model behind an endpoint."""

    settings: OpenAISettings


class GuardrailSettings(_Strict, frozen=True, kw_only=True):
    """What is not answered.

    Attributes:
        max_query_bytes: longest query in UTF-8.
        abstain_below: without a passage of at least this score nothing is answered; the retriever's score.
        bad_query: what an empty, too long or non-UTF-8 query gets: an abstention, or an error.
        on_failure: what happens when the generator fails: the extractive answer, or an abstention.
        ungrounded: what happens to an answer of which a quote is not in the passages, or that quotes nothing.
    """

    max_query_bytes: Annotated[int, Meta(ge=1, le=_MOST_BYTES)] = 4000
    abstain_below: Score = 0.0
    bad_query: Literal["abstain", "error"] = "abstain"
    on_failure: Literal["extract", "abstain"] = "extract"
    ungrounded: Literal["extract", "abstain"] = "extract"


class Guardrails(_Component, frozen=True, kw_only=True, tag_field="kind", tag="limits"):
    """Limits of what is asked and answered."""

    settings: GuardrailSettings = GuardrailSettings()


class Components(_Strict, frozen=True, kw_only=True):
    """Each role's component.

    Raises:
        ValueError: embedder, index and retriever do not fit together.
    """

    embedder: OnnxEmbedder | WordEmbedder
    index: FlatIndex | WordIndex
    retriever: DenseRetriever | WordRetriever
    prompt: Prompt
    generator: ExtractiveGenerator | OpenAIGenerator
    guardrails: Guardrails

    def __post_init__(self) -> None:
        words = {
            "embedder": isinstance(self.embedder, WordEmbedder),
            "index": isinstance(self.index, WordIndex),
            "retriever": isinstance(self.retriever, WordRetriever),
        }
        if len(set(words.values())) != 1:
            said = ", ".join(
                f"{role} is {'bm25' if is_words else 'dense'}" for role, is_words in words.items()
            )
            raise ValueError(f"embedder, index and retriever must be of one kind: {said}")


class Bundle(_Strict, frozen=True, kw_only=True):
    """What `bundle.json` says."""

    format: Literal[1]
    components: Components

    @property
    def dense(self) -> bool:
        """Whether texts are compared by vectors."""
        return isinstance(self.components.embedder, OnnxEmbedder)


def bundle_of(said: Json) -> Bundle:
    """A bundle from JSON values, every default filled in.

    Raises:
        ModelError: a field is unknown, missing or out of range; says which.
    """
    try:
        return msgspec.convert(said, Bundle)
    except msgspec.ValidationError as error:
        raise ModelError(f"not a bundle: {error}", where=BUNDLE_FILE) from error


def parse_bundle(data: bytes) -> Bundle:
    """Read `bundle.json`: known fields only, each once, in its range.

    Raises:
        ModelError: it is anything else.
    """
    return bundle_of(_json(data))


def render_bundle(bundle: Bundle) -> bytes:
    """The bytes of `bundle.json`, every setting written out."""
    said = msgspec.to_builtins(bundle)
    return (json.dumps(said, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def component_digests(data: bytes, files: Sequence[FileDigest]) -> Mapping[str, Digest]:
    """Each component's digest: of what `bundle.json` says of it and of its files.

    Args:
        data: bytes of `bundle.json`.
        files: all files of the model's folder.

    Returns:
        Role → digest, in the order of `ROLES`.

    Raises:
        ModelError: `bundle.json` is not readable.
    """
    said = _json(data)
    entries = said.get("components") if isinstance(said, Mapping) else None
    if not isinstance(entries, Mapping) or set(entries) != set(ROLES):
        raise ModelError(f"a bundle has the components {', '.join(ROLES)}", where=BUNDLE_FILE)
    try:
        return {role: _component(role, entries[role], files) for role in ROLES}
    except EvidenceError as error:
        raise ModelError(error.what, where=BUNDLE_FILE) from error


def _component(role: str, entry: Json, files: Sequence[FileDigest]) -> Digest:
    folder = f"{COMPONENT_FOLDER}/{role}/"
    own = sorted((f for f in files if f.path.startswith(folder)), key=lambda f: f.path)
    return Digest.of_json(
        {
            "role": role,
            "entry": entry,
            "files": [[f.path.removeprefix(folder), f.size, str(f.digest)] for f in own],
        }
    )


def prompt_digest(name: str, version: int, template: str) -> Digest | None:
    """The digest that the component of a prompt has in every bundle that `signoff.log_bundle` makes with it.

    Args:
        name: the prompt's name in MLflow's registry.
        version: its version there.
        template: that version's text.

    Returns:
        None for a name or version that no bundle can have.
    """
    try:
        prompt = msgspec.convert({"kind": "template", "name": name, "version": str(version)}, Prompt)
    except msgspec.ValidationError:
        return None
    text = template.encode()
    path = f"{COMPONENT_FOLDER}/prompt/{PROMPT_FILE}"
    file = FileDigest(path=path, size=len(text), digest=Digest.of(text))
    return _component("prompt", msgspec.to_builtins(prompt), (file,))


def component_facts(data: bytes, files: Sequence[FileDigest]) -> Mapping[str, Json]:
    """What to compare of two bundles, for people: each component's name, version, settings and digest.

    Raises:
        ModelError: `bundle.json` is no bundle's.
    """
    parse_bundle(data)
    said, digests = _json(data), component_digests(data, files)
    entries = said.get("components") if isinstance(said, Mapping) else None
    facts: dict[str, Json] = {}
    for role in ROLES:
        entry = entries.get(role) if isinstance(entries, Mapping) else None
        if not isinstance(entry, Mapping):
            continue
        facts[role] = f"{entry['kind']} {entry['name']}@{entry['version']} {digests[role]}"
        settings = entry.get("settings")
        if isinstance(settings, Mapping):
            facts |= {f"{role}.{name}": value for name, value in settings.items()}
    return facts


def _json(data: bytes) -> Json:
    if len(data) > _MOST_BYTES:
        raise ModelError(f"longer than {_MOST_BYTES:,} bytes", where=BUNDLE_FILE)
    try:
        said: Json = json.loads(
            data.decode("utf-8"), object_pairs_hook=_each_once, parse_constant=_no_constant
        )
    except (ValueError, RecursionError) as error:
        raise ModelError(f"not readable JSON: {error}", where=BUNDLE_FILE) from error
    return said


def _each_once(pairs: list[tuple[str, Json]]) -> Mapping[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field stands twice")
    return found


def _no_constant(text: str) -> Json:
    raise ValueError(f"{text} is no number")
