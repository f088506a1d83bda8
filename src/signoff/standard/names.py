"""Names of what ships with Signoff, and how the names that a team chooses must look."""

from signoff.standard.shape import Form

PROFILES = ("small", "mid", "enterprise")
SHIPPED_TYPES = (
    "classification",
    "regression",
    "forecasting",
    "ranking",
    "text-classification",
    "llm-app",
)
ROSTER_FILE = "signoff.roster.yaml"
OWNER = Form(pattern=r"[^@\s]+@[^@\s]+|[^@]+", words="an e-mail address such as ana@shop.example, or a name")
NAME = Form(
    pattern=r"[A-Za-z0-9][A-Za-z0-9_.-]*",
    words="letters, digits, `_`, `-` and `.`, beginning with a letter or digit",
)
REGISTERED_MODEL = Form(pattern=r"[^/:\s][^/:]*", words="registry names hold neither `/` nor `:`")
EXPERIMENT = Form(
    pattern=r"[^/\s][^/]*(?:/[^/\s][^/]*)?",
    words="write `use-case`, `use-case/family` or `use-case/stream`",
)
ALIAS = Form(
    pattern=r"(?!latest\Z)(?![vV]\d+\Z)[A-Za-z0-9_-]+",
    words="letters, digits, `_` and `-`; `latest` and `v1`, `v2`, … are taken by the registry",
)
FIELD = Form(pattern=r"[a-z][a-z0-9_]*", words="lower-case letters, digits and `_`, such as business_context")
LINK = Form(pattern=r"https?://[^\s\"'<>]+", words="an address that begins with https:// or http://")
