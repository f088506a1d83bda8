from hypothesis import given
from hypothesis import strategies as st

from signoff.review.model import Link, LinkState, Trace
from signoff.review.render import render_markdown, render_text

TRACE = Trace(
    target="churn@prod",
    links=(
        Link(kind="release", name="version 1", state="verified", detail=("by Cleo",)),
        Link(kind="code", name="commit c0ffee", state="broken", why="not there"),
        Link(kind="log", name="audit log", state="unknown", why="it was not checked"),
    ),
)


def test_a_trace_for_the_terminal() -> None:
    assert render_text(TRACE) == (
        "lineage of churn@prod\n"
        "  verified  release  version 1\n"
        "                     by Cleo\n"
        "  BROKEN    code     commit c0ffee\n"
        "                     not there\n"
        "  unknown   log      audit log\n"
        "                     it was not checked\n"
        "1 verified, 1 unknown, 1 broken\n"
    )


def test_a_trace_as_markdown() -> None:
    assert render_markdown(TRACE) == (
        "# Lineage of churn@prod\n"
        "\n"
        "| link | what | state | facts |\n"
        "|---|---|---|---|\n"
        "| release | version 1 | verified | by Cleo |\n"
        "| code | commit c0ffee | broken | not there |\n"
        "| log | audit log | unknown | it was not checked |\n"
        "\n"
        "1 verified, 1 unknown, 1 broken\n"
    )


def test_a_trace_as_json_has_every_field() -> None:
    assert TRACE.to_json() == {
        "target": "churn@prod",
        "links": [
            {"kind": "release", "name": "version 1", "state": "verified", "detail": ["by Cleo"], "why": ""},
            {"kind": "code", "name": "commit c0ffee", "state": "broken", "detail": [], "why": "not there"},
            {
                "kind": "log",
                "name": "audit log",
                "state": "unknown",
                "detail": [],
                "why": "it was not checked",
            },
        ],
    }
    assert TRACE.broken == (TRACE.links[1],)


WRITTEN = st.text() | st.text(alphabet="|\\<>`\n\r\x1b\u2028](!x")
STATES: tuple[LinkState, ...] = ("verified", "recorded", "unknown", "broken")


@given(name=WRITTEN, detail=WRITTEN, why=WRITTEN, target=WRITTEN, state=st.sampled_from(STATES))
def test_nobodys_text_forges_a_line_a_cell_or_a_tag(
    name: str, detail: str, why: str, target: str, state: LinkState
) -> None:
    link = Link(kind="approval", name=name, state=state, detail=(detail,), why=why)
    text = render_text(Trace(target=target, links=(link,)))
    assert len(text.splitlines()) == 4 + bool(why)
    assert text.replace("\n", "").isprintable()
    page = render_markdown(Trace(target=target, links=(link,)))
    lines = page.splitlines()
    assert len(lines) == 7
    assert page.replace("\n", "").isprintable()
    row = lines[4].replace("\\\\", "").replace("\\|", "")
    assert row.count("|") == 5
    assert "<" not in page.replace("<br>", "")
    assert "](" not in page
