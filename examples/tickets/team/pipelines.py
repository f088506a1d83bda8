"""The pipelines that were tried: what is counted in a text, and how a queue is decided."""

from collections.abc import Mapping

from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVC

TEXT = "text"
SEED = 7
PENALTY = 0.5
Counted = Mapping[str, object]

WORDS: Counted = {"analyzer": "word", "ngram_range": (1, 1), "min_df": 2}
PAIRS: Counted = {"analyzer": "word", "ngram_range": (1, 2), "min_df": 3}
PIECES: Counted = {"analyzer": "char_wb", "ngram_range": (2, 5), "min_df": 3}
FIVES: Counted = {"analyzer": "char_wb", "ngram_range": (5, 5), "min_df": 3}

COUNTED: Mapping[str, Mapping[str, Counted]] = {
    "words": {"words": WORDS},
    "everything": {"pairs": PAIRS, "pieces": PIECES},
    "lean": {"pairs": PAIRS, "fives": FIVES},
}
"""Words alone; words, pairs of words and pieces of two to five characters; the same with pieces of five only."""


def pipeline(name: str) -> Pipeline:
    """An unfitted pipeline from a table with the column ``text`` to the name of a queue."""
    counts = ColumnTransformer([(part, _vectorizer(said), TEXT) for part, said in COUNTED[name].items()])
    return Pipeline([("counts", counts), ("decision", LinearSVC(C=PENALTY, random_state=SEED))])


def preprocessing(name: str) -> dict[str, dict[str, object]]:
    """How a text becomes counts, as an artifact: whoever serves the model elsewhere must do the same."""
    kept = (
        "analyzer", "ngram_range", "lowercase", "min_df", "max_df", "strip_accents", "token_pattern", "norm",
        "sublinear_tf", "use_idf",
    )  # fmt: skip
    found: dict[str, dict[str, object]] = {}
    for part, counted in COUNTED[name].items():
        said = _vectorizer(counted).get_params()
        found[part] = {key: list(said[key]) if isinstance(said[key], tuple) else said[key] for key in kept}
    return found


def _vectorizer(counted: Counted) -> TfidfVectorizer:
    return TfidfVectorizer(lowercase=True, sublinear_tf=True, **counted)
