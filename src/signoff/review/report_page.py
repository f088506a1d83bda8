"""A review as one HTML page that holds everything it needs: no script, no font, nothing fetched."""

import base64
import hashlib
import pkgutil

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from signoff.review.checklist import ReviewReport
from signoff.review.report_render import header, shown_evidence, shown_facts
from signoff.text import printable


def review_page(report: ReviewReport) -> str:
    """The page. What people wrote is text in it: escaped, and without control characters.

    Its policy allows the one style sheet in it, by digest, and nothing else.
    """
    style = _resource("review.css")
    environment = Environment(
        autoescape=True,
        loader=FunctionLoader(_resource),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["printable"] = printable
    return environment.get_template("review.html").render(
        report=report,
        looked=[printable(line) for line in header(report)],
        style=Markup(style),  # noqa: S704 - our own file
        style_digest=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        shown_facts=shown_facts,
        shown_evidence=shown_evidence,
    )


def _resource(name: str) -> str:
    data = pkgutil.get_data("signoff.review", f"templates/{name}")
    if data is None:
        raise FileNotFoundError(name)
    return data.decode()
