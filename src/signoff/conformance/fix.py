"""What can be added to a run afterwards without inventing anything: first a plan, then its application."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from signoff.conformance.decide import check_run
from signoff.conformance.ports import RunWriter
from signoff.record import capture
from signoff.record.environment import EnvironmentRecord
from signoff.record.run import RunRecord
from signoff.standard.model import UseCaseRules


@dataclass(frozen=True, kw_only=True, slots=True)
class AttachText:
    """Log an artifact file.

    Attributes:
        run_id: the run that gets it.
        path: where among its artifacts.
        text: the file's content.
        code: the finding that this answers.
    """

    run_id: str
    path: str
    text: str
    code: str

    @property
    def what(self) -> str:
        """The addition in a few words."""
        return f"artifact {self.path}"


@dataclass(frozen=True, kw_only=True, slots=True)
class SetTag:
    """Set a tag.

    Attributes:
        run_id: the run that gets it.
        key: the tag.
        value: its value.
        code: the finding that this answers.
    """

    run_id: str
    key: str
    value: str
    code: str

    @property
    def what(self) -> str:
        """The addition in a few words."""
        return f"tag {self.key} = {self.value}"


Fix: TypeAlias = AttachText | SetTag


@dataclass(frozen=True, kw_only=True, slots=True)
class FixPlan:
    """What would be added to one run.

    Attributes:
        fixes: the additions.
        left: for each fixable finding that stays, one sentence that says why.
    """

    fixes: tuple[Fix, ...]
    left: tuple[str, ...]


def plan_fixes(rules: UseCaseRules, run: RunRecord, environment: EnvironmentRecord) -> FixPlan:
    """Which findings on a run can be answered from here and now.

    Args:
        rules: the rules that the run is held to.
        run: the run.
        environment: the environment of this process. Its package list is attached only to a run that
            recorded the same digest.
    """
    fixes: list[Fix] = []
    left: list[str] = []
    for finding in check_run(rules, run):
        if not finding.fixable:
            continue
        tag = finding.code.removeprefix("tag:")
        if tag in {capture.OWNER, capture.USE_CASE}:
            value = rules.owner if tag == capture.OWNER else rules.name
            fixes.append(SetTag(run_id=run.run_id, key=tag, value=value, code=finding.code))
        elif run.tags.get(capture.ENVIRONMENT_DIGEST) == str(environment.digest):
            fixes.append(
                AttachText(
                    run_id=run.run_id,
                    path=capture.ENVIRONMENT_ARTIFACT,
                    text=environment.packages,
                    code=finding.code,
                )
            )
        else:
            left.append(
                f"{finding.subject}: {capture.ENVIRONMENT_ARTIFACT} can be attached only from the environment "
                f"that it ran in, {run.tags.get(capture.ENVIRONMENT_DIGEST)}; this one is {environment.digest}"
            )
    return FixPlan(fixes=tuple(fixes), left=tuple(left))


def apply_fixes(fixes: Sequence[Fix], writer: RunWriter) -> None:
    """Write the additions, one by one in order.

    Raises:
        StoreError: the store refused one; those before it are written.
    """
    for fix in fixes:
        match fix:
            case AttachText():
                writer.log_text(fix.run_id, fix.path, fix.text)
            case SetTag():
                writer.set_tag(fix.run_id, fix.key, fix.value)
