"""HTML pages that hold everything they need: no script, no font, nothing fetched.

What people wrote is text in them: escaped, and without control characters. A page's policy allows the one style sheet
in it, by digest, and nothing else.
"""

import base64
import hashlib
import pkgutil

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from signoff.text import printable


def render_page(template: str, **values: object) -> str:
    """The page of a template in this package's ``templates``.

    Args:
        template: its file name.
        values: what it names, beside ``style`` and ``style_digest``.
    """
    style = _resource("review.css")
    environment = Environment(
        autoescape=True,
        loader=FunctionLoader(_resource),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["printable"] = printable
    return environment.get_template(template).render(
        style=Markup(style),  # noqa: S704 - our own file
        style_digest=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        **values,
    )


def _resource(name: str) -> str:
    data = pkgutil.get_data("signoff.review", f"templates/{name}")
    if data is None:
        raise FileNotFoundError(name)
    return data.decode()
