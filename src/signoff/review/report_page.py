"""A review as one HTML page."""

from signoff.review.checklist import ReviewReport
from signoff.review.page import render_page
from signoff.review.report_render import header, shown_evidence, shown_facts
from signoff.text import printable


def review_page(report: ReviewReport) -> str:
    """The page; what people wrote is text in it."""
    return render_page(
        "review.html",
        report=report,
        looked=[printable(line) for line in header(report)],
        shown_facts=shown_facts,
        shown_evidence=shown_evidence,
    )
