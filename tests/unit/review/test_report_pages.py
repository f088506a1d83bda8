"""The review for people: every form says the same, and nobody's text becomes markup."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from signoff.review.checklist import ANSWERS, Answer, Item, ReviewReport, Section
from signoff.review.report_page import review_page
from signoff.review.report_render import EVIDENCE, FACTS, review_markdown, review_text

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style><b>bold</b>",
    "{{ 7 * 7 }}{% raw %}",
    "[a](javascript:alert(1))",
    "line\nbreak\x1b[31m\u202e",
    "| cell | `code` |",
)
VOID = {"meta", "img", "br", "link", "hr", "input"}


def report(text: str, answer: Answer = "problem") -> ReviewReport:
    one = Item(
        code="names:outside",
        use_case=text,
        answer=answer,
        sentence=text,
        facts=(text,) * 20,
        evidence=(text,) * 20,
        advice=text,
    )
    section = Section(number=1, title="Names", question="Do names hold?", items=(one,))
    return ReviewReport(
        standard=text,
        store=text,
        since="2026-09-01",
        until="2026-11-23",
        runs=2,
        runs_with_files=1,
        sections=(section,),
    )


class Page(HTMLParser):
    """The elements of a page, its attributes, its text, and whether elements nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.mark.parametrize("text", HOSTILE)
def test_the_page_has_the_same_elements_whatever_people_wrote(text: str) -> None:
    harmless, hostile = Page(review_page(report("harmless"))), Page(review_page(report(text)))
    assert hostile.elements == harmless.elements
    assert hostile.attributes == harmless.attributes
    shown = text.replace("\n", "\ufffd").replace("\x1b", "\ufffd").replace("\u202e", "\ufffd")
    assert shown in "".join(hostile.words)


def test_the_page_fetches_and_runs_nothing() -> None:
    text = review_page(report("harmless"))
    page = Page(text)
    assert not {"script", "link", "img", "iframe", "object", "form"} & set(page.elements)
    targets = [value for name, value in page.attributes if name in ("href", "src", "action", "style")]
    assert all(target is not None and target.startswith("#") for target in targets)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert not re.search(r"url\(|@import|https?:", text)


def test_its_policy_allows_its_own_style_and_nothing_else() -> None:
    text = review_page(report("harmless"))
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'" in text.replace("&#39;", "'")
    assert text.index("Content-Security-Policy") < text.index("<style>")


@pytest.mark.parametrize("text", HOSTILE)
def test_text_and_markdown_keep_their_lines(text: str) -> None:
    for render in (review_text, review_markdown):
        assert len(render(report(text)).splitlines()) == len(render(report("harmless")).splitlines())
        assert "\x1b" not in render(report(text))
    assert "<script>" not in review_markdown(report(text))


def test_long_lists_are_cut_for_people_and_whole_in_json() -> None:
    found = report("harmless")
    for render in (review_text, review_markdown, review_page):
        assert f"and {20 - FACTS} more" in render(found)
        assert f"and {20 - EVIDENCE} more" in render(found)
    told = json.loads(json.dumps(found.to_json()))
    assert len(told["sections"][0]["items"][0]["evidence"]) == 20


@pytest.mark.parametrize("answer", ANSWERS)
def test_every_answer_is_counted(answer: Answer) -> None:
    assert dict(report("x", answer).counts())[answer] == 1
    assert sum(count for _, count in report("x", answer).counts()) == 1
    assert bool(report("x", answer).problems) == (answer == "problem")
