"""Addresses and messages as people may see them: without user, password and options."""

import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote

_RESERVED = re.compile(r"[/?#@]")
"""Characters that cannot stand in the user or password of an address."""
_IN_ADDRESS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)[^\s'\"<>]*@")
"""Greedy: a password that holds an @ or / is masked whole, at the price of a path that holds an @."""
_AS_OPTION = re.compile(r"(?i)(?P<name>\b\w*(?:password|passwd|token|secret)=)[^\s&'\"<>]+")
_SECRETS = re.compile(
    r"MLFLOW_TRACKING_(PASSWORD|TOKEN)|PGPASSWORD|SIGNOFF_GENERATOR_[A-Z0-9_]*(KEY|TOKEN|PASSWORD)"
    r"|SIGNOFF_[A-Z0-9_]+_(PASSWORD|TOKEN)"
)
"""Environment variables that hold a secret: MLflow's, the database's, a generator's, an environment's server's."""
_LEAST = 4
"""Characters of a secret that is looked for in a text: masking every "a" would hide the message."""


def shown(uri: str) -> str:
    """The address without user, password and options."""
    scheme, separator, rest = uri.partition("://")
    if scheme.startswith("sqlite"):
        return uri.partition("?")[0]
    secret, _, address = rest.rpartition("@")
    return f"{scheme}://…" if _RESERVED.search(secret) else scheme + separator + address.partition("?")[0]


def without_secrets(text: str, known: Iterable[str] = ()) -> str:
    """The text with passwords in addresses and options masked.

    Args:
        text: a message, possibly of another program.
        known: passwords and tokens to mask wherever they stand, as written and with percent codes decoded;
            blanks and line ends around them do not count.
    """
    text = _IN_ADDRESS.sub(r"\g<scheme>***@", text)
    text = _AS_OPTION.sub(r"\g<name>***", text)
    forms = {form.strip() for one in known for form in (one, unquote(one))}
    for secret in sorted(forms, key=len, reverse=True):
        if len(secret) >= _LEAST:
            text = text.replace(secret, "***")
    return text


def password_of(uri: str) -> str:
    """The password in an address, as written there; "" without one."""
    secret = uri.partition("://")[2].rpartition("@")[0]
    return secret.partition(":")[2]


def masked(text: str, environ: Mapping[str, str]) -> str:
    """Other programs' messages may quote a secret: none that the environment holds reaches a terminal or a log."""
    known = [value for name, value in environ.items() if _SECRETS.fullmatch(name)]
    return without_secrets(text, (*known, password_of(environ.get("MLFLOW_TRACKING_URI", ""))))
