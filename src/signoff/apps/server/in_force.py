"""The standard and roster in force: kept in memory, read again when their files change.

Each worker of each server does this for itself. A file that cannot be read, or has faults, changes nothing: what was
in force stays in force, one alarm is logged, and `problems` says so until the file is good again.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from signoff.apps.server.actor import Askers
from signoff.apps.standard_file import read_standard, read_text
from signoff.errors import SignoffError
from signoff.evidence.roster import parse_roster
from signoff.record.digest import Digest
from signoff.release.people import People
from signoff.standard.model import Standard

_log = logging.getLogger(__name__)
_EVERY_SECONDS = 1.0
_State: TypeAlias = tuple[tuple[str, int, int, int] | None, ...]
"""Of each file path, inode, size and modification time; None for one that is not there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RulesInForce:
    """One reading of standard and roster; what holds one sees both as they were together.

    Attributes:
        standard: the team's standard.
        people: the roster with the standard's roles.
        askers: the people behind logins.
    """

    standard: Standard
    people: People
    askers: Askers

    @property
    def digests(self) -> tuple[Digest, Digest]:
        """Of standard and roster."""
        return self.standard.digest, self.people.roster.digest


class InForce:
    """Holds what is in force in this process.

    Args:
        path: the standard's file; the roster is the one that it names.
        single_user: whether the server has no login.
        announce: called with what came into force, before anything is decided on it by others' request; what it
            raises is a problem that is shown, and it is called again.

    Raises:
        StandardError: at the start the files must be good.
    """

    def __init__(
        self, path: Path, *, single_user: bool, announce: Callable[[RulesInForce], None] | None = None
    ) -> None:
        self._path = path.absolute()
        self._single_user = single_user
        self._announce = announce
        self._announced: tuple[Digest, Digest] | None = None
        self._problems: dict[str, str] = {}
        self._lock = threading.Lock()
        roster = self._path.parent / read_standard(self._path).roster
        self._state = _state(self._path, roster)
        self._rules = self._read()

    @property
    def rules(self) -> RulesInForce:
        """What is in force; reads no file."""
        return self._rules

    @property
    def folder(self) -> Path:
        """Where the standard lies; paths in it are relative to this."""
        return self._path.parent

    def problems(self) -> tuple[str, ...]:
        """What is wrong with the files as they are now; empty when they are in force."""
        return tuple(self._problems.values())

    def watch(self, also: Callable[[], None]) -> None:
        """Look at the files each second from now on, until the process ends; and do that other thing as often."""
        threading.Thread(
            target=self._look_for_ever, args=(also,), name="signoff-standard", daemon=True
        ).start()

    def refresh(self) -> None:
        """Take what the files say now, when they changed."""
        with self._lock:
            state = _state(self._path, self.folder / self._rules.standard.roster)
            if state != self._state:
                self._take(state)
            self._tell()

    def _take(self, state: _State) -> None:
        self._state = state
        try:
            rules = self._read()
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a file, the one before stays in force
            said = str(error) if isinstance(error, SignoffError) else f"{type(error).__name__}: {error}"
            self._alarm("standard", f"the standard or roster is not in force as it lies there: {said}")
            return
        # The new standard may name another roster, and an editor may still be writing: read again if so.
        self._state = state if _state(self._path, self.folder / rules.standard.roster) == state else ()
        self._rules = rules
        self._problems.pop("standard", None)

    def _read(self) -> RulesInForce:
        standard = read_standard(self._path)
        roster = parse_roster(read_text(self.folder / standard.roster), standard.roster)
        return RulesInForce(
            standard=standard,
            people=People(roster=roster, roles=standard.roles),
            askers=Askers(roster=roster, single_user=self._single_user),
        )

    def _tell(self) -> None:
        """Say what came into force, once for each; again when it could not be said."""
        rules = self._rules
        if self._announce is None or self._announced == rules.digests:
            return
        try:
            self._announce(rules)
        except SignoffError as error:
            self._alarm("announce", f"the audit log does not name the standard in force yet: {error}")
            return
        self._announced = rules.digests
        self._problems.pop("announce", None)

    def _alarm(self, about: str, message: str) -> None:
        if self._problems.get(about) != message:
            _log.error("signoff: %s", message)
        self._problems[about] = message

    def _look_for_ever(self, also: Callable[[], None]) -> None:
        pause = threading.Event()
        while not pause.wait(_EVERY_SECONDS):
            try:
                self.refresh()
                also()
            except Exception as error:  # noqa: BLE001 - the thread must live: without it no change comes into force
                self._alarm("watch", f"the standard could not be looked at: {type(error).__name__}: {error}")
            else:
                self._problems.pop("watch", None)


def _state(*paths: Path) -> _State:
    return tuple(_state_of(path) for path in paths)


def _state_of(path: Path) -> tuple[str, int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return str(path), found.st_ino, found.st_size, found.st_mtime_ns
