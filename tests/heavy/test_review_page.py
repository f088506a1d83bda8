"""The review's page in a real browser: its style applies under its policy, it fits a phone, nothing runs."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from signoff.review.checklist import Item, ReviewReport, Section
from signoff.review.report_page import review_page

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))),
    None,
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
HOSTILE = "<script>document.title='run'</script><img src=x onerror=\"document.title='run'\">" + "long" * 80


def page() -> str:
    one = Item(
        code="names:outside",
        use_case="churn",
        answer="problem",
        sentence=HOSTILE,
        facts=(HOSTILE,),
        evidence=("0" * 200,),
        advice=HOSTILE,
    )
    return review_page(
        ReviewReport(
            standard="signoff.yaml",
            store="sqlite:///" + "a" * 300,
            since="2026-09-01",
            until="2026-11-23",
            runs=1,
            runs_with_files=1,
            sections=tuple(
                Section(number=n, title="Names and boundaries", question="Do they hold?", items=(one,))
                for n in range(1, 9)
            ),
        )
    )


def browse(*arguments: str) -> str:
    """Run the browser without a window.

    The pages are local files, so it needs neither sandbox nor network.
    """
    assert CHROMIUM is not None
    done = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


def test_nothing_that_people_wrote_runs_or_becomes_an_element(tmp_path: Path) -> None:
    path = tmp_path / "review.html"
    path.write_text(page(), encoding="utf-8")
    dom = browse("--dump-dom", path.as_uri())
    assert "<title>Review of 2026-11-23</title>" in dom
    assert "<img" not in dom
    assert "<script" not in dom


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_is_styled_and_no_wider_than_the_screen(width: int, tmp_path: Path) -> None:
    """A frame of the screen's width around the page measures it; the page itself may run no script."""
    (tmp_path / "review.html").write_text(page(), encoding="utf-8")
    (tmp_path / "frame.html").write_text(
        f"<body><iframe src=review.html style='width:{width}px;height:900px;border:0'></iframe>"
        "<script>onload=()=>{const d=frames[0].document;document.title="
        "d.documentElement.scrollWidth+' '+getComputedStyle(d.querySelector('section')).borderTopWidth}</script>",
        encoding="utf-8",
    )
    dom = browse(
        "--allow-file-access-from-files",
        "--virtual-time-budget=5000",
        "--window-size=1600,1000",
        "--dump-dom",
        (tmp_path / "frame.html").as_uri(),
    )
    measured = re.search(r"<title>(\d+) ([\d.]+)px</title>", dom)
    assert measured is not None, dom[:500]
    assert int(measured[1]) <= width
    assert float(measured[2]) > 0


def test_light_and_dark_look_different(tmp_path: Path) -> None:
    path = tmp_path / "review.html"
    path.write_text(page(), encoding="utf-8")
    shots = []
    for scheme in (0, 1):
        shot = tmp_path / f"{scheme}.png"
        browse(
            f"--blink-settings=preferredColorScheme={scheme}",
            f"--screenshot={shot}",
            "--window-size=390,800",
            path.as_uri(),
        )
        shots.append(shot.read_bytes())
    assert all(len(shot) > 10_000 for shot in shots)
    assert shots[0] != shots[1]
