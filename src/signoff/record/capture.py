"""Names of the tags that run capture writes, and where else the same fact may stand.

These tags are for people and for conformance; a release decision never trusts one of them. `LOGIN` apart: a guarded
server writes it, and no client can.
"""

from signoff.record.digest import Digest
from signoff.record.run import RunRecord

USE_CASE = "signoff.use_case"
OWNER = "signoff.owner"
CONTRIBUTOR = "signoff.contributor"
GIT_COMMIT = "signoff.git.commit"
GIT_BRANCH = "signoff.git.branch"
GIT_DIRTY = "signoff.git.dirty"
ENVIRONMENT = "signoff.environment"
PIPELINE = "signoff.pipeline"
ENTRY_POINT = "signoff.entry_point"
PYTHON = "signoff.python"
RUNTIME = "signoff.runtime"
ENVIRONMENT_DIGEST = "signoff.environment.digest"
STANDARD_VERSION = "signoff.standard.version"
STANDARD_DIGEST = "signoff.standard.digest"
PLATFORM_PREFIX = "signoff.platform."
TRIGGER = "signoff.trigger"
LOGIN = "signoff.login"
"""Login under which a guarded server authenticated whoever made the run."""
_OTHER_LOGINS = "signoff.login."
"""How the tags begin in which the server keeps the logins of others that logged to the run."""

TRIGGER_VARIABLE = "SIGNOFF_TRIGGER"
"""Environment variable that holds the id of the firing for which a run is trained; see `TRIGGER`."""

ENVIRONMENT_ARTIFACT = "environment/requirements.txt"
"""Path of the frozen package list among a run's artifacts."""
EVIDENCE_FOLDER = "evidence"
"""Folder of what `signoff.log_evidence` logs."""

ELSEWHERE = {
    GIT_COMMIT: ("mlflow.source.git.commit", "mlflow.databricks.gitRepoCommit"),
    GIT_BRANCH: ("mlflow.source.git.branch", "mlflow.databricks.gitRepoReference"),
    ENTRY_POINT: ("mlflow.source.name",),
    CONTRIBUTOR: ("mlflow.user",),
}
"""Tags of MLflow's own that carry the same fact."""


CAPTURED = frozenset(
    {
        *(USE_CASE, OWNER, CONTRIBUTOR),
        *(GIT_COMMIT, GIT_BRANCH, GIT_DIRTY),
        *(ENVIRONMENT, PIPELINE, ENTRY_POINT, PYTHON, RUNTIME, ENVIRONMENT_DIGEST),
        *(STANDARD_VERSION, STANDARD_DIGEST, TRIGGER),
    }
)
"""What the client plugins say of runs and of what they log; no decision trusts it."""
READ = (*sorted(CAPTURED), LOGIN, *sorted({name for names in ELSEWHERE.values() for name in names}))
"""Tags of a run that conformance, approvals, review or lineage read; see `READ_PREFIXES` too."""
READ_PREFIXES = (PLATFORM_PREFIX, _OTHER_LOGINS)


def is_captured(tag: str) -> bool:
    """Whether the client plugins write a tag of this name."""
    return tag in CAPTURED or tag.startswith(PLATFORM_PREFIX)


def is_read(tag: str) -> bool:
    """Whether conformance, approvals, review or lineage read a tag of this name."""
    return tag in READ or tag.startswith(READ_PREFIXES)


def login_tag(login: str) -> str:
    """Tag in which the server keeps that this login, too, logged to a run; any login makes a name that is allowed."""
    return f"{_OTHER_LOGINS}{Digest.of(login.encode()).hex[:16]}"


def logins(run: RunRecord) -> frozenset[str]:
    """The logins that a guarded server authenticated whoever made the run, or logged to it, under."""
    return frozenset(
        value for tag, value in run.tags.items() if value and (tag == LOGIN or tag.startswith(_OTHER_LOGINS))
    )


def fact(run: RunRecord, tag: str) -> str | None:
    """The tag's value, or that of the same fact elsewhere; None when the run does not say."""
    for name in (tag, *ELSEWHERE.get(tag, ())):
        if value := run.tags.get(name):
            return value
    return None
