import importlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[3]
SCRIPTS = ("markup", "corpus", "questions", "components")
POD = """\
=head1 NAME

perlfaq9 - nothing

=head2 Why is C<int()> broken?
X<int> X<rounding>

Your L<int|perlfunc/int> is B<fine>, see L<perlop/"Numbers"> and
L<https://example.org/a>. C<< $a->{b} >> is E<gt> 3.

    print int(0.6/0.2-2), "\\n";

=over 4

=item *

First

=item 2

=item A name

Its text.

=back

=head2 Nothing here?

=cut
"""
RST = """\
:tocdepth: 2

=====
Title
=====

.. only:: html

   .. contents::

.. _label:

Why *does* ``x`` change?
------------------------

Lists are :term:`mutable`, as :meth:`~list.append` and `the docs <https://example.org>`_
say [#]_.  Write::

   >>> x = *args
   >>> y

.. note::

   Beware of :func:`sorted(y) <sorted>`.

.. code-block:: doscon
   :caption: nothing

   C:\\> py

.. XXX a comment

   that goes on

.. [#] A footnote.

* one item
  that goes on

Next
----
"""


@pytest.fixture(scope="module")
def team() -> Iterator[SimpleNamespace]:
    """The assistant's modules, as its scripts find each other."""
    before = list(sys.path)
    sys.path[:0] = [str(ROOT / "examples" / "assistant" / "team")]
    try:
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in SCRIPTS})
    finally:
        sys.path[:] = before
        for name in SCRIPTS:
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def documents() -> Iterator[ModuleType]:
    before = list(sys.path)
    sys.path.insert(0, str(ROOT))
    try:
        yield importlib.import_module("examples.assistant.documents")
    finally:
        sys.path[:] = before


def test_pod_becomes_what_a_reader_sees(team: SimpleNamespace) -> None:
    name, question = team.markup.pod_sections(POD, "perlfaq9.pod")
    assert (name.title, name.blocks) == ("NAME", ("perlfaq9 - nothing",))
    assert question.title == "Why is int() broken?"
    assert question.blocks == (
        "Your int is fine, see perlop, Numbers and https://example.org/a. $a->{b} is > 3.",
        'print int(0.6/0.2-2), "\\n";',
        "First",
        "A name",
        "Its text.",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("=head1 A\n\n=wonder\n", "a.pod:3: unknown command =wonder"),
        ("=head1 A\n\nQ<x>\n", "a.pod:3: unknown formatting code Q"),
        ("=head1 A\n\nC<x\n", "not closed with >"),
        ("=head1 A\n\nE<wonder>\n", "unknown character E<wonder>"),
    ],
)
def test_pod_that_is_not_understood_is_refused_with_its_place(
    team: SimpleNamespace, text: str, said: str
) -> None:
    with pytest.raises(team.markup.MarkupError, match=said):
        team.markup.pod_sections(text, "a.pod")


def test_restructured_text_becomes_what_a_reader_sees(team: SimpleNamespace) -> None:
    (section,) = team.markup.rst_sections(RST, "a.rst")
    assert section.title == "Why does x change?"
    assert section.blocks == (
        "Lists are mutable, as append and the docs say. Write:",
        ">>> x = *args\n>>> y",
        "Beware of sorted(y).",
        "C:\\> py",
        "A footnote.",
        "* one item that goes on",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("A\n===\n\n.. wonder:: x\n\n   y\n", "below 'A': unknown directive wonder"),
        ("A long heading\n---\n\ntext\n", "a.rst:1: the line below this heading is too short"),
    ],
)
def test_restructured_text_that_is_not_understood_is_refused(
    team: SimpleNamespace, text: str, said: str
) -> None:
    with pytest.raises(team.markup.MarkupError, match=said):
        team.markup.rst_sections(text, "a.rst")


def test_passages_hold_whole_blocks_and_no_heading(team: SimpleNamespace) -> None:
    assert team.corpus.pieces(("a b", "c d", "e f g h i j", "k"), 4) == ["a b\n\nc d", "e f g h i j", "k"]
    assert team.corpus.pieces((), 4) == []


def corpus_folder(folder: Path) -> Path:
    for package, name, text in (
        (
            "perl-doc",
            "perlfaq1.pod",
            "=head2 What is Perl?\n\nA language.\n\n=head2 Perl, in short\n\nNice.\n",
        ),
        ("perl-doc", "perlfaq9.pod", "=head2 What is HTTP?\n\nA protocol.\n"),
        ("python3.11-doc", "general.rst.txt", "What is Python?\n---------------\n\nA language too.\n"),
        ("debian-policy", "ch-scope.rst.txt", "Scope?\n------\n\nAll of it.\n"),
        ("debian-policy", "ch-files.rst.txt", "Scope\n-----\n\nSome.\n\nScope\n-----\n\nMore.\n"),
    ):
        (folder / package).mkdir(exist_ok=True)
        (folder / package / name).write_text(text)
    return folder


def test_questions_of_documents_that_are_kept_out_have_no_answer(
    team: SimpleNamespace, tmp_path: Path
) -> None:
    found = team.corpus.entries(corpus_folder(tmp_path))
    table = team.questions.evaluation(found).set_index("question")
    assert table["support"].to_dict() == {
        "perlfaq1/what-is-perl": "supported",
        "perlfaq9/what-is-http": "unsupported",
        "python-general/what-is-python": "supported",
    }
    assert json.loads(table.loc["perlfaq1/what-is-perl", "relevant"]) == ["perlfaq1/what-is-perl:1"]
    assert json.loads(table.loc["perlfaq9/what-is-http", "relevant"]) == []

    passages = team.corpus.passages(found)
    assert passages["id"].is_unique
    assert "policy-ch-files/scope-2:1" in set(passages["id"])
    assert not passages["document"].eq("perlfaq9").any()
    wanted = {id_ for ids in table["relevant"] for id_ in json.loads(ids)}
    assert wanted <= set(passages["id"])


def test_a_package_without_documents_is_refused(team: SimpleNamespace, tmp_path: Path) -> None:
    shutil.rmtree(corpus_folder(tmp_path) / "debian-policy")
    with pytest.raises(team.markup.MarkupError, match="debian-policy holds no documents"):
        team.corpus.entries(tmp_path)


def test_the_split_depends_on_the_words_alone(team: SimpleNamespace) -> None:
    queries = [f"How do I do thing {number}?" for number in range(300)]
    held = [query for query in queries if team.questions.split(query) == "held out"]
    assert 70 < len(held) < 130
    assert all(team.questions.split(f"  {query.upper()} ") == "held out" for query in held)


def test_the_inbox_leaves_out_comments_and_blank_lines(team: SimpleNamespace) -> None:
    found = team.questions.inbox("# today\n\nWhy?\n  How?  \n")
    assert found.to_dict("list") == {"question": ["q1", "q2"], "query": ["Why?", "How?"]}


def test_the_threshold_costs_at_most_its_share_of_right_answers(team: SimpleNamespace) -> None:
    score = np.linspace(0.0, 1.0, 101)
    right, supported = score > 0.2, score > 0.1
    found = team.components.tuned_threshold(score, right, supported)
    assert (score[right] < found.value).mean() <= team.components.LOST
    assert (score[right] < found.value + 0.01).mean() > team.components.LOST
    assert f"Threshold {found.value}" in found.rationale
    with pytest.raises(ValueError, match="no tuning question is answered right"):
        team.components.tuned_threshold(score, np.zeros_like(right), supported)


def test_components_differ_in_nothing_but_how_passages_are_found(
    team: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT / "examples" / "assistant" / "team")
    made = team.components.components("bm25", 0.3)
    other = team.components.components("dense", 0.3)
    assert {role: made[role] for role in ("prompt", "generator", "guardrails")} == {
        role: other[role] for role in ("prompt", "generator", "guardrails")
    }
    assert made["guardrails"]["settings"]["abstain_below"] == 0.3
    assert made["retriever"]["settings"]["k"] == 5


def deb(folder: Path, name: str, members: dict[str, bytes]) -> Path:
    """A package file with these files, made by dpkg-deb."""
    for member, data in members.items():
        (folder / "tree" / member).parent.mkdir(parents=True, exist_ok=True)
        (folder / "tree" / member).write_bytes(data)
    control = folder / "tree" / "DEBIAN" / "control"
    control.parent.mkdir(parents=True, exist_ok=True)
    control.write_text(
        f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: N <n@x.example>\nDescription: x\n"
    )
    done = ["dpkg-deb", "--root-owner-group", "-b", str(folder / "tree"), str(folder / f"{name}_1_all.deb")]
    subprocess.run(done, check=True, capture_output=True)
    return folder / f"{name}_1_all.deb"


DPKG = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb makes the package")


@DPKG
def test_another_version_is_taken_when_its_documents_are_the_pinned_ones(
    documents: ModuleType, tmp_path: Path
) -> None:
    deb(tmp_path, "doc", {"usr/share/doc/a.txt": b"one", "usr/share/doc/b.bin": b"two"})
    pinned = documents.Package(
        name="doc",
        version="0.9",
        sha256="0" * 64,
        documents="usr/share/doc/*.txt",
        documents_sha256=documents.digest_of({"a.txt": b"one"}),
        size="1 kB",
    )
    assert documents.fetch(pinned, tmp_path) == {"a.txt": b"one"}
    changed = replace(pinned, documents_sha256=documents.digest_of({"a.txt": b"won"}))
    with pytest.raises(documents.DemoError, match=r"other documents than the pinned doc 0\.9") as refusal:
        documents.fetch(changed, tmp_path)
    assert "snapshot.debian.org" in str(refusal.value)


@DPKG
def test_a_file_that_is_no_package_is_refused(documents: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "perl-doc_1_all.deb").write_bytes(b"not a package")
    with pytest.raises(documents.DemoError, match="cannot be read"):
        documents.fetch(documents.PACKAGES[0], tmp_path)


def test_without_apt_the_message_says_where_to_put_the_package(
    documents: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(documents.DemoError, match="apt-get is not installed") as refusal:
        documents.fetch(documents.PACKAGES[2], tmp_path / "cache")
    assert "debian-policy_4.6.2.0_all.deb" in str(refusal.value)
    assert str(tmp_path / "cache") in str(refusal.value)
