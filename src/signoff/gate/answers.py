"""How good an answer is: whether it rests on its sources, says what was expected, and abstains when it should."""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from signoff.gate.retrieval import question_values

_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]\u201d\u2019]*\s+(?=[\"'(\[\u201c\u2018]?[A-Z0-9])|\n\s*\n")
_PUNCTUATION = frozenset(string.punctuation)
_ARTICLES = frozenset({"a", "an", "the"})
_NOT_KNOWN = float("nan")


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What an assistant answered to one question.

    Attributes:
        passages: ids of what was retrieved, best first.
        support: ids of those that the answer says it rests on.
        text: the answer; "" when it abstained.
        quote: lines that it quotes from its support; "" when it quotes nothing.
        abstained: whether it declined to answer.
        cost: of this request, in the team's currency.
    """

    passages: tuple[str, ...]
    support: tuple[str, ...]
    text: str
    quote: str
    abstained: bool
    cost: float


def answer_values(
    answer: Answer, *, relevant: Collection[str], reference: str, texts: Mapping[str, str], k: int
) -> Mapping[str, float]:
    """All values of one question.

    Args:
        answer: what was answered.
        relevant: ids of the passages that answer the question; empty: nothing does, it is unsupported.
        reference: the expected answer; "" when nobody wrote one.
        texts: the text of each passage that was retrieved.
        k: places of the ranking that count.

    Returns:
        Metric → value; NaN where this question says nothing about a metric: an unsupported one about
        retrieval and quality, an abstention about groundedness.
    """
    return {
        **question_values(answer.passages, relevant, k),
        "groundedness": groundedness(answer, texts),
        "answer_quality": answer_quality(answer, relevant=relevant, reference=reference),
        "abstention": float(answer.abstained == (not relevant)),
        "cost_per_request": answer.cost,
    }


def groundedness(answer: Answer, texts: Mapping[str, str]) -> float:
    """The share of the answer's sentences that stand word for word in a passage which it names as its support.

    A sentence stands in a passage when it is part of it after runs of white space are folded to one space. An
    answer that names no support, or a passage that was not retrieved, has nothing to stand on: 0. This is the
    strict end of attribution (Rashkin et al., Computational Linguistics 2023, 49:777): a paraphrase counts as
    unsupported, so that no second model has to be trusted to judge.

    Returns:
        Between 0 and 1; NaN when it abstained.
    """
    if answer.abstained:
        return _NOT_KNOWN
    sources = [folded(texts[id_]) for id_ in answer.support if id_ in texts and id_ in answer.passages]
    said = sentences(answer.text)
    if not said:
        return 0.0
    return sum(any(folded(sentence) in source for source in sources) for sentence in said) / len(said)


def answer_quality(answer: Answer, *, relevant: Collection[str], reference: str) -> float:
    """Token F1 against the reference; without one, the share of the support that is relevant.

    Returns:
        Between 0 and 1; 0 for an abstention from a question that can be answered; NaN for an unsupported
        question, where there is nothing right to say (`abstention` measures those).
    """
    if not relevant:
        return _NOT_KNOWN
    if answer.abstained:
        return 0.0
    if reference:
        return token_f1(answer.text, reference)
    support = set(answer.support)
    return len(support & set(relevant)) / len(support) if support else 0.0


def token_f1(answer: str, reference: str) -> float:
    """Harmonic mean of precision and recall of the answer's words against the reference's.

    As in SQuAD (Rajpurkar et al., EMNLP 2016, section 6.1): words count as often as they stand there, lower case,
    without punctuation and the articles a, an, the. Two texts without any words agree.
    """
    said, wanted = _words(answer), _words(reference)
    if not said or not wanted:
        return float(said == wanted)
    common = sum((Counter(said) & Counter(wanted)).values())
    return 2.0 * common / (len(said) + len(wanted))


def sentences(text: str) -> tuple[str, ...]:
    """The text's sentences in order, without the white space around them; line breaks inside stay."""
    return tuple(part.strip() for part in _SENTENCE_END.split(text) if part.strip())


def folded(text: str) -> str:
    """The text in Unicode's composed form, with each run of white space as one space."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def _words(text: str) -> list[str]:
    kept = (c for c in text.lower() if c not in _PUNCTUATION and not unicodedata.category(c).startswith("P"))
    return [word for word in "".join(kept).split() if word not in _ARTICLES]
