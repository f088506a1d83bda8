import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.gate.answers import Answer, answer_quality, answer_values, groundedness, sentences, token_f1

TEXTS = {
    "apt": "You install a package with apt install. Use apt remove\n  to take it away.",
    "perl": "Perl hashes map keys to values.",
}


def answer(
    text: str, *support: str, abstained: bool = False, passages: tuple[str, ...] = ("apt", "perl")
) -> Answer:
    return Answer(passages=passages, support=support, text=text, quote=text, abstained=abstained, cost=0.25)


ABSTAINED = answer("", abstained=True)


@pytest.mark.parametrize(
    ("given", "share"),
    [
        (answer("You install a package with apt install.", "apt"), 1.0),
        (answer("Use apt remove to take it away.", "apt"), 1.0),  # white space folds
        (answer("Use apt remove to take it away. It is easy.", "apt"), 0.5),
        (answer("You install a package with apt install.", "perl"), 0.0),  # in another passage
        (answer("You install a package with apt install."), 0.0),  # names no support
        (answer("You install a package with apt install.", "apt", passages=("perl",)), 0.0),  # not retrieved
        (answer("you install a package with apt install.", "apt"), 0.0),  # not word for word
        (answer("   ", "apt"), 0.0),
    ],
)
def test_an_answer_is_grounded_as_far_as_its_sentences_stand_in_its_support(
    given: Answer, share: float
) -> None:
    assert groundedness(given, TEXTS) == share


def test_an_abstention_says_nothing_about_groundedness() -> None:
    assert math.isnan(groundedness(ABSTAINED, TEXTS))


@pytest.mark.parametrize(
    ("said", "wanted", "f1"),
    [
        ("The apt tool.", "apt tool", 1.0),
        ("apt", "apt tool", 2 / 3),  # precision 1, recall 1/2
        ("use apt to install", "install apt", 2 * (2 / 4) * 1 / (2 / 4 + 1)),
        ("apt apt apt", "apt", 0.5),  # words count as often as they stand there
        ("perl", "apt", 0.0),
        ("the", "a", 1.0),
        ("", "apt", 0.0),
    ],
)
def test_token_f1_is_that_of_squad(said: str, wanted: str, f1: float) -> None:
    assert token_f1(said, wanted) == pytest.approx(f1)


@given(st.text(), st.text())
def test_token_f1_is_symmetric_and_a_share(first: str, second: str) -> None:
    assert 0.0 <= token_f1(first, second) == token_f1(second, first) <= 1.0
    assert token_f1(first, first) == 1.0


@given(st.text())
def test_every_sentence_is_a_part_of_its_text(text: str) -> None:
    assert all(sentence in text and sentence == sentence.strip() for sentence in sentences(text))


@pytest.mark.parametrize(
    ("given", "relevant", "reference", "quality"),
    [
        (answer("x", "apt"), {"apt"}, "", 1.0),
        (answer("x", "apt", "perl"), {"apt"}, "", 0.5),
        (answer("x"), {"apt"}, "", 0.0),
        (answer("Perl hashes", "apt"), {"apt"}, "perl hashes", 1.0),
        (ABSTAINED, {"apt"}, "perl hashes", 0.0),
    ],
)
def test_quality_is_measured_against_the_reference_or_the_relevant_passages(
    given: Answer, relevant: set[str], reference: str, quality: float
) -> None:
    assert answer_quality(given, relevant=relevant, reference=reference) == quality


@pytest.mark.parametrize(
    ("given", "relevant", "abstention"),
    [
        (ABSTAINED, (), 1.0),
        (ABSTAINED, ("apt",), 0.0),
        (answer("x", "apt"), ("apt",), 1.0),
        (answer("x", "apt"), (), 0.0),
    ],
)
def test_it_should_abstain_exactly_when_nothing_answers(
    given: Answer, relevant: tuple[str, ...], abstention: float
) -> None:
    values = answer_values(given, relevant=relevant, reference="", texts=TEXTS, k=2)
    assert values["abstention"] == abstention
    assert values["cost_per_request"] == 0.25
    applies = {name: not math.isnan(values[name]) for name in ("ndcg", "mrr", "answer_quality")}
    assert set(applies.values()) == {bool(relevant)}
