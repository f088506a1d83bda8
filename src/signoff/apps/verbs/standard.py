"""`signoff standard check`, `diff` and `history`: the standard with its roster, and its versions compared."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from signoff.adapters.git import file_at, file_log, find_repository, resolve_commit
from signoff.apps.standard_file import decoded, read_standard, read_text, shown
from signoff.apps.verbs.recording import history_of
from signoff.apps.workspace import Workspace, open_workspace
from signoff.errors import Fault, SignoffError, StandardError, UsageError
from signoff.evidence.roster import parse_roster, unknown_roles
from signoff.release.people import People
from signoff.release.rule_change import touched_by
from signoff.standard.diff import StandardDiff, Step, diff_standards
from signoff.standard.load import load_standard
from signoff.standard.model import Standard
from signoff.standard.shape import did_you_mean
from signoff.standard.strict_yaml import dotted, load_yaml


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """Two versions of the standard compared.

    Attributes:
        diff: what changed.
        touched: per use case what that does to candidates and releases.
        unknown: why the ledger could not be asked; "" when it could.
    """

    diff: StandardDiff
    touched: Mapping[str, tuple[str, ...]]
    unknown: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Past:
    """The commits that changed the standard.

    Attributes:
        steps: newest first.
        skipped: how many more changed nothing of the use case asked for.
    """

    steps: tuple[Step, ...]
    skipped: int


def check(path: Path) -> Standard:
    """The standard, when it and the roster that it names have no fault; a roster need not be there yet.

    Raises:
        StandardError: one of them has faults, such as a person whose role the standard does not know.
    """
    loaded = read_standard(path)
    roster = path.parent / loaded.roster
    if not roster.is_file():
        return loaded
    text, name = read_text(roster), shown(roster)
    unknown = unknown_roles(parse_roster(text, name), loaded.roles)
    if unknown:
        document = load_yaml(text, name)
        places = [
            (("people", person.email, "roles", person.roles.index(role)), role) for person, role in unknown
        ]
        faults = [
            Fault(
                path=dotted(place),
                line=document.line_of(place),
                message=f"the standard knows no role `{role}`: it allows nothing",
                hint=did_you_mean(role, loaded.roles),
            )
            for place, role in places
        ]
        raise StandardError(name, faults)
    return loaded


def compare(path: Path, *, old: str, new: str | None) -> Compared:
    """Compare two versions of the standard and look up what the change touches.

    Args:
        path: the standard's file.
        old: a file, or a git revision of ``path``.
        new: the same; None: ``path`` as it is now.

    Raises:
        UsageError: one of them is neither.
        StandardError: one of them has faults.
        StoreError: git did not answer.
    """
    before = _version(path, old)
    after = read_standard(path) if new is None else _version(path, new)
    diff = diff_standards(before, after)
    if not diff.touched and before.roles == after.roles:
        return Compared(diff=diff, touched={}, unknown="")
    try:
        touched = _touched(open_workspace(str(path)), before, after, diff)
    except SignoffError as error:  # the words do not depend on the ledger
        return Compared(diff=diff, touched={}, unknown=f"{error.what} ({error.where or shown(path)})")
    return Compared(diff=diff, touched=touched, unknown="")


def _touched(
    workspace: Workspace, old: Standard, new: Standard, diff: StandardDiff
) -> Mapping[str, tuple[str, ...]]:
    roster = workspace.people().roster
    differ = {use_case.use_case for use_case in diff.touched}
    said = {
        name: touched_by(
            history_of(workspace, name),
            old=rules,
            new=new.use_cases.get(name),
            before=People(roster=roster, roles=old.roles),
            after=People(roster=roster, roles=new.roles),
        )
        for name, rules in old.use_cases.items()
        if name in differ or old.roles != new.roles
    }
    return {name: sentences for name, sentences in said.items() if sentences}


def _version(path: Path, given: str) -> Standard:
    if Path(given).is_file():
        return read_standard(Path(given))
    root, relative = _in_repository(path, given)
    commit = resolve_commit(root, given)
    if commit is None:
        raise UsageError(
            f"{given!r} is neither a file nor a git revision",
            where=str(root),
            hint="write a revision such as HEAD~1, or the path of another standard",
        )
    found = _at(root, relative, commit, name=f"{given}:{relative}")
    if found is None:
        raise UsageError(f"{given} has no {relative}", where=str(root), hint="signoff standard history")
    return found


def _in_repository(path: Path, given: str) -> tuple[Path, str]:
    """The repository's top folder, and the standard's path in it."""
    real = path.resolve()
    root = find_repository(real.parent)
    if root is None:
        raise UsageError(
            f"{shown(path)} is in no git repository, so it has no {given}",
            hint="name two files: signoff standard diff OLD NEW",
        )
    return root, real.relative_to(root).as_posix()


def _at(root: Path, relative: str, commit: str, *, name: str) -> Standard | None:
    data = file_at(root, commit, relative)
    return None if data is None else load_standard(decoded(data, name), name)


def past(path: Path, *, use_case: str | None, last: int) -> Past:
    """The commits that changed the standard, each with what it changed against its first parent.

    Args:
        path: the standard's file.
        use_case: only commits that changed something for it; None for all.
        last: look at so many of the newest commits.

    Raises:
        UsageError: the file is in no git repository, or no version has that use case.
        StoreError: git did not answer.
    """
    root, relative = _in_repository(path, "history")
    commits = file_log(root, relative, last=last) or ()
    read: dict[str | None, Standard | str | None] = {None: None}

    def at(commit: str | None) -> Standard | str | None:
        if commit is not None and commit not in read:
            try:
                read[commit] = _at(root, relative, commit, name=f"{commit[:12]}:{relative}")
            except StandardError as error:
                read[commit] = f"{error.where} cannot be compared: {error.what}, {error.faults[0].message}"
        return read[commit]

    steps: list[Step] = []
    for commit in commits:
        diff, note = _difference(at(commit.parent), at(commit.commit))
        steps.append(Step(commit=commit, diff=diff, note=note))
    if use_case is None:
        return Past(steps=tuple(steps), skipped=0)
    known = {name for found in read.values() if isinstance(found, Standard) for name in found.use_cases}
    if use_case not in known:
        raise UsageError(
            f"no version of the standard has use case {use_case!r}",
            where=shown(path),
            hint=f"there were: {', '.join(sorted(known)) or 'none'}",
        )
    chosen = [
        Step(commit=s.commit, diff=None if s.diff is None else s.diff.only(use_case), note=s.note)
        for s in steps
    ]
    kept = tuple(step for step in chosen if step.diff is None or not step.diff.empty)
    return Past(steps=kept, skipped=len(steps) - len(kept))


def _difference(old: Standard | str | None, new: Standard | str | None) -> tuple[StandardDiff | None, str]:
    if isinstance(old, Standard) and isinstance(new, Standard):
        return diff_standards(old, new), ""
    if isinstance(new, str):
        return None, new
    if new is None:
        return None, "the standard was deleted"
    cases = f"profile {new.profile}, use cases {', '.join(new.use_cases)}"
    if isinstance(old, str):
        return None, f"{old}; now {cases}"
    return None, f"the first version that this repository has: {cases}"
