"""What the assistant is made of, and how its threshold is chosen.

Nothing here knows MLflow. Two retrievers are at hand: ``bm25`` compares words, ``dense`` compares vectors of a small
sentence embedder. Both give five passages, which is what the desk is shown, and both quote one sentence; they differ
in nothing else.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Retriever: TypeAlias = Literal["bm25", "dense"]
Components: TypeAlias = Mapping[str, Mapping[str, Any]]
Frame: TypeAlias = pd.DataFrame
Bools: TypeAlias = NDArray[np.bool_]
Floats: TypeAlias = NDArray[np.float64]

MODEL, TOKENIZER = Path("models/model.onnx"), Path("models/tokenizer.json")
PROMPT = Path("prompt.txt")
SHOWN = 5  # passages that the desk's screen shows
MOST_TOKENS = 256  # what the embedder was trained with
BM25 = {"k1": 1.5, "b": 0.75}
MOST_BYTES = 2000  # a longer question is a paste
LOST = 0.05  # share of right answers that the threshold may cost
NEVER = -1.0  # no score is below

EMBEDDERS: Mapping[str, Mapping[str, Any]] = {
    "bm25": {"kind": "bm25", "name": "words", "version": "1", "settings": {"stopwords": "english"}},
    "dense": {
        "kind": "onnx",
        "name": "minilm-int8",
        "version": "1.0.0",
        "files": {"model.onnx": MODEL, "tokenizer.json": TOKENIZER},
        "settings": {"max_tokens": MOST_TOKENS},
    },
}
INDEXES: Mapping[str, Mapping[str, Any]] = {
    "bm25": {"kind": "bm25", "name": "debian-docs", "version": "1", "settings": BM25},
    "dense": {"kind": "flat", "name": "debian-docs", "version": "1"},
}


def components(retriever: Retriever, abstain_below: float) -> Components:
    """The six components.

    Args:
        retriever: how passages are found.
        abstain_below: without a passage of at least this score nothing is answered.
    """
    return {
        "embedder": EMBEDDERS[retriever],
        "index": INDEXES[retriever],
        "retriever": {
            "kind": retriever,
            "name": retriever,
            "version": "1",
            "settings": {"k": SHOWN, "min_score": NEVER},
        },
        "prompt": {"kind": "template", "name": "desk-answer", "template": PROMPT.read_text("utf-8")},
        "generator": {
            "kind": "extractive",
            "name": "sentence-picker",
            "version": "1",
            "settings": {"sentences": 1},
        },
        "guardrails": {
            "kind": "limits",
            "name": "desk",
            "version": "1",
            "settings": {
                "max_query_bytes": MOST_BYTES,
                "abstain_below": abstain_below,
                "bad_query": "abstain",
            },
        },
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class Threshold:
    """A score below which nothing is answered, and why.

    Attributes:
        value: the score.
        rationale: Markdown for the reviewers.
    """

    value: float
    rationale: str


def no_threshold() -> Threshold:
    """Always answer."""
    return Threshold(value=NEVER, rationale="No threshold: every question gets the best sentence found.\n")


def tuned_threshold(score: Floats, right: Bools, supported: Bools) -> Threshold:
    """The largest threshold, in steps of 0.01, that costs at most `LOST` of the right answers.

    Args:
        score: of the best passage for each tuning question, shape (questions,).
        right: whether the answer rests on a relevant passage when nothing is held back.
        supported: whether the corpus answers the question at all.

    Raises:
        ValueError: no answer is right.
    """
    if not right.any():
        raise ValueError("no tuning question is answered right, so there is nothing to keep")
    steps = np.arange(math.floor(score.min() * 100), math.ceil(score.max() * 100) + 1) / 100
    lost = np.array([(score[right] < step).mean() for step in steps])
    value = float(steps[lost <= LOST][-1])
    rows = "\n".join(
        f"| {step:.2f} | {(score[right] < step).mean():.3f} | {(score[~supported] < step).mean():.3f} "
        f"| {(score[supported] < step).mean():.3f} |"
        for step in np.round(value + np.arange(-0.08, 0.12, 0.04), 2)
    )
    return Threshold(
        value=value,
        rationale=f"""Threshold {value}, from the {score.size} tuning questions; the held-out third was not looked at.

Rule, stated beforehand: the largest threshold, in steps of 0.01, that costs at most {100 * LOST:.0f} % of the answers that are
right without one.

| threshold | right answers lost | abstains from unsupported | abstains from supported |
|---|---|---|---|
{rows}
""",
    )
