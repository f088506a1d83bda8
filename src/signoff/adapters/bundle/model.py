"""A bundle in memory: it retrieves, answers or abstains, and says what the answer rests on."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from signoff.adapters.bundle.embedding import (
    MODEL_FILE,
    TOKENIZER_FILE,
    Embedder,
    Vectors,
    embed_all,
)
from signoff.adapters.bundle.extract import Extract, extract
from signoff.adapters.bundle.generator import Endpoint, endpoint_of, generate
from signoff.adapters.bundle.index import FLAT_FILE, WORDS_FOLDER, FlatSearch, Hits, WordSearch
from signoff.adapters.bundle.passages import PASSAGES_FILE, Passages, read_passages
from signoff.adapters.bundle.words import Rarity, words_of
from signoff.errors import DataError, ModelError
from signoff.gate.answers import Answer, folded
from signoff.record.bundle import (
    BUNDLE_FILE,
    COMPONENT_FOLDER,
    PROMPT_FILE,
    Bundle,
    FlatIndex,
    OnnxEmbedder,
    OpenAIGenerator,
    WordEmbedder,
    WordIndex,
    parse_bundle,
)
from signoff.record.digest import Digest

VARIABLES = ("question", "passages")
"""What a prompt's template may name in double braces; it must name both."""

_VARIABLE = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_QUOTED = re.compile(r"\"([^\"]{3,2000})\"|\u201c([^\u201d]{3,2000})\u201d")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """An answer with why it is none or not the generator's own.

    Attributes:
        answer: what was answered.
        reason: "" when nothing is to be said.
        score: of the best passage, which ``abstain_below`` is compared with; 0 when none was retrieved.
    """

    answer: Answer
    reason: str = ""
    score: float = 0.0


class BundleModel:
    """What the six components make together."""

    def __init__(self, folder: Path) -> None:
        """Open the bundle in this folder, whose bytes the caller has verified.

        Raises:
            ModelError: a component is missing, malformed, or needs a library that is not installed.
        """
        components = folder / COMPONENT_FOLDER
        self.bundle = parse_bundle(_bytes(folder / BUNDLE_FILE))
        self._passages = read_passages(_bytes(components / "index" / PASSAGES_FILE))
        self._place = {id_: place for place, id_ in enumerate(self._passages.ids)}
        self._retrieve = _retriever(self.bundle, components, self._passages)
        self._prompt = checked_template(_text(components / "prompt" / PROMPT_FILE))
        self._limits = self.bundle.components.guardrails.settings
        generator = self.bundle.components.generator
        self._endpoint: Endpoint | None = None
        if isinstance(generator, OpenAIGenerator):
            self._endpoint = endpoint_of(generator.settings)

    def predict(self, frame: Any, params: Mapping[str, Any] | None = None) -> Any:  # noqa: ARG002 - MLflow's form
        """Answer each row of a pandas DataFrame with a column ``query``.

        Returns:
            A DataFrame with the frame's index and the columns ``answer``, ``abstained``, ``passages``,
            ``support``, ``quote``, ``cost``, ``reason`` and ``score``.

        Raises:
            DataError: there is no such column, or a query is refused and the guardrails ask for an error.
            ModelError: the embedder fails.
        """
        import pandas as pd

        if "query" not in frame.columns:
            raise DataError("the table has no column 'query'", hint="give one row per question")
        replies = [self.ask(query) for query in frame["query"].tolist()]
        rows = [
            {
                "answer": reply.answer.text,
                "abstained": reply.answer.abstained,
                "passages": list(reply.answer.passages),
                "support": list(reply.answer.support),
                "quote": reply.answer.quote,
                "cost": reply.answer.cost,
                "reason": reply.reason,
                "score": reply.score,
            }
            for reply in replies
        ]
        columns = ["answer", "abstained", "passages", "support", "quote", "cost", "reason", "score"]
        return pd.DataFrame(rows, columns=columns, index=frame.index)

    def ask(self, query: object) -> Reply:
        """Answer one question.

        Raises:
            DataError: the query is refused and the guardrails ask for an error.
            ModelError: the embedder fails.
        """
        text, wrong = self._accepted(query)
        if wrong:
            if self._limits.bad_query == "error":
                raise DataError(_REFUSED[wrong].format(most=self._limits.max_query_bytes), where="query")
            return _abstained(wrong)
        hits = self._retrieve(text)
        return replace(self._answered(text, hits), score=hits[0][1] if hits else 0.0)

    def _answered(self, text: str, hits: Hits) -> Reply:
        ids = tuple(self._passages.ids[place] for place, _ in hits)
        if not hits or hits[0][1] < self._limits.abstain_below:
            return _abstained("no-support", passages=ids)
        if self._endpoint is not None:
            return self._generated(text, hits, ids, self._endpoint)
        return self._extracted(text, hits, ids)

    def texts(self, ids: Sequence[str]) -> Mapping[str, str]:
        """The passages' texts; those that the index does not have are left out."""
        return {id_: self._passages.texts[self._place[id_]] for id_ in ids if id_ in self._place}

    def embed_ahead(self, queries: Sequence[str], *, embedder: Digest, cache: Path) -> None:
        """Embed queries that will be asked, with a cache on disk; a bundle without vectors does nothing.

        Args:
            queries: the queries; those that guardrails refuse are left out.
            embedder: digest of the embedder component.
            cache: folder of the cache.

        Raises:
            ModelError: the embedder fails.
        """
        good = dict.fromkeys(text for text, wrong in map(self._accepted, queries) if not wrong)
        if good and isinstance(self._retrieve, _Dense):
            self._retrieve.know(list(good), embedder=embedder, cache=cache)

    def _accepted(self, query: object) -> tuple[str, str]:
        """The query's text, and the reason why it is refused or ""."""
        if isinstance(query, bytes):
            if len(query) > self._limits.max_query_bytes:
                return "", "too-long"
            try:
                query = query.decode("utf-8")
            except UnicodeDecodeError:
                return "", "not-utf8"
        if not isinstance(query, str) or not query.strip():
            return "", "empty"
        if len(query) > self._limits.max_query_bytes:  # a character has at least one byte
            return "", "too-long"
        try:
            size = len(query.encode("utf-8"))
        except UnicodeEncodeError:
            return "", "not-utf8"
        return ("", "too-long") if size > self._limits.max_query_bytes else (query, "")

    def _extracted(
        self, query: str, hits: Hits, ids: tuple[str, ...], *, cost: float = 0.0, reason: str = ""
    ) -> Reply:
        generator = self.bundle.components.generator
        count = 1 if isinstance(generator, OpenAIGenerator) else generator.settings.sentences
        found: Extract = extract(
            self._retrieve.words(query),
            hits,
            self._passages.texts,
            count=count,
            rarity=self._retrieve.rarity,
        )
        quoted = "\n".join(found.sentences)
        support = tuple(self._passages.ids[place] for place in found.places)
        return Reply(
            answer=Answer(
                passages=ids, support=support, text=quoted, quote=quoted, abstained=False, cost=cost
            ),
            reason=reason,
        )

    def _generated(self, query: str, hits: Hits, ids: tuple[str, ...], endpoint: Endpoint) -> Reply:
        generator = self.bundle.components.generator
        if not isinstance(generator, OpenAIGenerator):
            return self._extracted(query, hits, ids)
        said = generate(self._filled(query, hits), generator.settings, endpoint)
        if said.text is None:
            return self._instead(
                self._limits.on_failure, "generator-failed", query, hits, ids, cost=said.cost
            )
        quotes = tuple(_quotes(said.text))
        support = _support(quotes, {id_: self._passages.texts[self._place[id_]] for id_ in ids})
        if not support:
            return self._instead(self._limits.ungrounded, "ungrounded", query, hits, ids, cost=said.cost)
        return Reply(
            answer=Answer(
                passages=ids,
                support=support,
                text=said.text,
                quote="\n".join(quotes),
                abstained=False,
                cost=said.cost,
            )
        )

    def _instead(
        self, then: str, reason: str, query: str, hits: Hits, ids: tuple[str, ...], *, cost: float
    ) -> Reply:
        if then == "extract":
            return self._extracted(query, hits, ids, cost=cost, reason=reason)
        return _abstained(reason, passages=ids, cost=cost)

    def _filled(self, query: str, hits: Hits) -> str:
        """The prompt; braces inside of passages or query are text, for the template is filled in one go."""
        passages = "\n\n".join(
            f"[{self._passages.ids[place]}]\n{self._passages.texts[place]}" for place, _ in hits
        )
        values = {"question": query, "passages": passages}
        return _VARIABLE.sub(lambda found: values[found[1]], self._prompt)


_REFUSED = {
    "empty": "the query is empty",
    "too-long": "the query is longer than {most} bytes",
    "not-utf8": "the query is not UTF-8 text",
}


def _abstained(reason: str, *, passages: tuple[str, ...] = (), cost: float = 0.0) -> Reply:
    answer = Answer(passages=passages, support=(), text="", quote="", abstained=True, cost=cost)
    return Reply(answer=answer, reason=reason)


def checked_template(text: str) -> str:
    """The template.

    Raises:
        ModelError: it names other variables than ``question`` and ``passages``, or not both.
    """
    named = set(_VARIABLE.findall(text))
    if named != set(VARIABLES):
        said = ", ".join(sorted(named)) or "none"
        raise ModelError(
            f"a prompt names the variables {{{{question}}}} and {{{{passages}}}}; this one names {said}",
            where="prompt",
        )
    return text


def _quotes(text: str) -> Iterator[str]:
    for found in _QUOTED.finditer(text):
        quote = (found[1] or found[2]).strip()
        if quote:
            yield quote


def _support(quotes: Sequence[str], texts: Mapping[str, str]) -> tuple[str, ...]:
    """Ids of the passages that the quotes stand in; none when there is no quote, or one stands in none."""
    sources = {id_: folded(text) for id_, text in texts.items()}
    found: dict[str, None] = {}
    for quote in quotes:
        holder = next((id_ for id_, source in sources.items() if folded(quote) in source), None)
        if holder is None:
            return ()
        found[holder] = None
    return tuple(found)


class _Dense:
    """Retrieval by vectors."""

    def __init__(self, bundle: Bundle, components: Path, passages: Passages) -> None:
        entry = bundle.components.embedder
        if not isinstance(entry, OnnxEmbedder):
            raise ModelError("a dense bundle has an embedder", where=BUNDLE_FILE)
        folder = components / "embedder"
        self._embedder = Embedder(
            model=_bytes(folder / MODEL_FILE),
            tokenizer=_bytes(folder / TOKENIZER_FILE),
            settings=entry.settings,
        )
        self._index = FlatSearch(
            _bytes(components / "index" / FLAT_FILE),
            passages=len(passages),
            dimensions=self._embedder.embed(passages.texts[0]).size,
        )
        self._settings = bundle.components.retriever.settings
        self._known: dict[str, Vectors] = {}
        self.rarity = Rarity.of(words_of(text, "english") for text in passages.texts)

    def __call__(self, query: str) -> Hits:
        vector = self._known.get(query)
        return self._index.search(self._embedder.embed(query) if vector is None else vector, self._settings)

    def words(self, query: str) -> list[str]:
        return words_of(query, "english")

    def know(self, queries: list[str], *, embedder: Digest, cache: Path) -> None:
        vectors = embed_all(self._embedder, queries, digest=embedder, cache=cache)
        self._known = dict(zip(queries, vectors, strict=True))


class _Words:
    """Retrieval by words."""

    def __init__(self, bundle: Bundle, components: Path, passages: Passages) -> None:
        embedder, index = bundle.components.embedder, bundle.components.index
        if not isinstance(embedder, WordEmbedder) or not isinstance(index, WordIndex):
            raise ModelError("a bundle by words has a BM25 index", where=BUNDLE_FILE)
        self._stopwords = embedder.settings.stopwords
        self._index = WordSearch(
            components / "index" / WORDS_FOLDER, settings=index.settings, passages=len(passages)
        )
        self._settings = bundle.components.retriever.settings
        self.rarity = self._index.rarity

    def __call__(self, query: str) -> Hits:
        return self._index.search(self.words(query), self._settings)

    def words(self, query: str) -> list[str]:
        return words_of(query, self._stopwords)


def _retriever(bundle: Bundle, components: Path, passages: Passages) -> _Dense | _Words:
    kind = _Dense if isinstance(bundle.components.index, FlatIndex) else _Words
    return kind(bundle, components, passages)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError("a file of the bundle is missing", where="/".join(path.parts[-3:])) from error


def _text(path: Path) -> str:
    try:
        return _bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ModelError("the prompt is not UTF-8 text", where=path.name) from error
