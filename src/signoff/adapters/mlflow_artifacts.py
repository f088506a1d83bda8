"""Guards the bytes: what the MLflow server writes and deletes in artifact storage, by whichever route it came.

Every route ends in an artifact repository, so that is where a path is judged: normalised, and in both directions,
since deleting a folder deletes the frozen run in it. Who owns a path is looked up in the database; the layout of
paths is not trusted, because experiments may lie anywhere.
"""

import asyncio
import functools
import inspect
import os
import posixpath
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol
from urllib.parse import unquote, urlsplit

from signoff.release.guard.evidence import FROZEN_MARK, OPEN_FOLDER
from signoff.release.guard.model import Asker, Change
from signoff.release.guard.ports import Guard

if TYPE_CHECKING:
    import sqlalchemy

_REPORTS = OPEN_FOLDER.rstrip("/")
"""Folder below a run's artifacts in which Signoff keeps its reports; of a frozen run too it takes in new ones."""


class Judge(Protocol):
    """Asks the guard."""

    def __call__(self, changes: tuple[Change, ...], *, recorded: bool) -> None:
        """Let the changes pass, or raise MLflow's exception.

        Args:
            changes: what would be written.
            recorded: write what the log gains by it; False when the same is asked again before it happens.
        """


Note = Callable[[Iterable[str], str], None]
"""Keeps with runs, given by their ids, that a login writes what belongs to them."""

Listed = Callable[[str], Iterable[str]]
"""Gives the paths in a folder of a repository, below the repository's root."""

_PROXIED = frozenset({"mlflow-artifacts", "http", "https"})
_ANCHOR = "/mlflow-artifacts/artifacts/"
_IS_EVIDENCE = (
    "(r.entry_point_name = :mark OR EXISTS (SELECT 1 FROM model_versions v WHERE v.run_id = r.run_uuid))"
)
_GUARDED = frozenset(
    {
        "log_artifact",
        "log_artifacts",
        "log_artifact_from_stream",
        "log_artifact_from_async_stream",
        "delete_artifacts",
        "create_multipart_upload",
        "complete_multipart_upload",
        "create_presigned_upload_url",
    }
)
# These end in a guarded method, or throw away what was never in place.
_HARMLESS = frozenset(
    {
        "abort_multipart_upload",
        "upload_archived_trace_data",
        "upload_archived_trace_data_bytes",
        "upload_attachment",
        "upload_trace_data",
    }
)
_BUILDERS = ("_get_artifact_repository_for_uri", "get_artifact_repository")
"""Functions of MLflow's handlers that build repositories: the first since 3.17, which calls the second."""
_WRITING = ("log_", "upload", "delete", "create_multipart", "create_presigned", "complete_", "abort_", "put_")


@dataclass(frozen=True, kw_only=True, slots=True)
class Owner:
    """Who a place in artifact storage belongs to.

    Attributes:
        run_id: the run; of a logged model the run that logged it.
        model_id: the logged model; None for the run's own artifacts.
        place: where the artifacts begin.
        evidence: the run is frozen, or versions were registered from it: the guard knows whether it may change.
    """

    run_id: str
    model_id: str | None
    place: str
    evidence: bool

    def has(self, place: str) -> bool:
        """Whether the place is in this owner's artifacts."""
        return _is_below(place, self.place)

    def reports(self, place: str) -> bool:
        """Whether the place is in the folder of a run in which Signoff keeps its reports."""
        return self.model_id is None and _is_below(place, posixpath.join(self.place, _REPORTS))


class Places:
    """Looks up owners of places.

    Args:
        engine: of MLflow's database.
        destination: URI that the server's proxied artifacts are kept under.
    """

    def __init__(self, engine: "sqlalchemy.Engine", destination: str) -> None:
        self._engine = engine
        self._destination = destination

    def place(self, uri: str, *below: str) -> str:
        """One spelling for everything that means the same place: decoded, normalised, proxied paths resolved."""
        parts = urlsplit(uri)
        if parts.scheme in _PROXIED:
            inside = unquote(parts.path.partition(_ANCHOR)[2] or parts.path)
            return self.place(self._destination, posixpath.normpath("/" + inside).lstrip("/"), *below)
        added = [unquote(part).lstrip("/") for part in below if part]
        if parts.scheme in ("", "file"):
            path = parts.path if parts.scheme else uri
            return posixpath.realpath(posixpath.join(unquote(path), *added))
        path = posixpath.normpath("/" + posixpath.join(unquote(parts.path).lstrip("/"), *added))
        return f"{parts.scheme}://{parts.netloc}{path}"

    def touched(self, place: str, *, deep: bool) -> tuple[Owner, ...]:
        """Owners to ask about before something changes at the place.

        A file written touches what the place lies in. Runs and logged models have their ids in their locations, so
        only the owners that the place names are read; a place that names none is compared with all that are evidence.
        A deep change, such as a delete, also touches evidence that lies below the place, which need not name it.

        Args:
            place: as `place` gives it.
            deep: everything below the place changes too.
        """
        named = self.owners_named_in(place)
        owners = {owner for owner in named if owner.has(place)}
        if deep or not named:
            everything = self._owners(_IS_EVIDENCE, _IS_EVIDENCE, [])
            owners |= {owner for owner in everything if owner.has(place) or _is_below(owner.place, place)}
        return tuple(sorted(owners, key=lambda owner: (owner.run_id, owner.model_id or "")))

    def owners_named_in(self, place: str) -> tuple[Owner, ...]:
        """Runs and logged models whose ids are segments of the place."""
        names = [part for part in place.split("/") if part]
        return tuple(self._owners("r.run_uuid IN :names", "l.model_id IN :names", names))

    def _owners(self, of_runs: str, of_models: str, names: list[str]) -> Iterator[Owner]:
        import sqlalchemy

        query = sqlalchemy.text(
            f"SELECT r.run_uuid, NULL, r.artifact_uri, {_IS_EVIDENCE} FROM runs r WHERE {of_runs}"  # noqa: S608 - constants
            f" UNION ALL SELECT r.run_uuid, l.model_id, l.artifact_location, {_IS_EVIDENCE} FROM logged_models l"
            f" JOIN runs r ON r.run_uuid = l.source_run_id WHERE {of_models}"
        )
        bound = {"mark": FROZEN_MARK}
        if names:
            query = query.bindparams(sqlalchemy.bindparam("names", expanding=True))
        with self._engine.connect() as connection:
            rows = connection.execute(query, {**bound, "names": names} if names else bound).all()
        for run_id, model_id, uri, evidence in rows:
            if uri:
                yield Owner(run_id=run_id, model_id=model_id, place=self.place(uri), evidence=bool(evidence))


class ArtifactGuard:
    """Judges writes of artifact repositories.

    Args:
        guard: knows the rules and who asks.
        judge: asks it.
        places: looks up owners.
        note: keeps with runs that a login writes their artifacts.
    """

    def __init__(self, guard: Guard, judge: Judge, places: Places, note: Note) -> None:
        self._note = note
        self._guard = guard
        self._judge = judge
        self._places = places

    def check(
        self,
        root: str,
        path: str,
        operation: Literal["insert", "delete"],
        *,
        deep: bool = False,
        recorded: bool = True,
        listed: Listed = lambda _: (),
    ) -> None:
        """Ask before bytes below a repository's root change.

        A new report below `signoff/` may be added by anybody on the roster, whatever became of the run.

        Args:
            root: URI of the repository.
            path: below it.
            operation: what would happen to the bytes.
            deep: it would happen to everything below the path.
            recorded: False when the same is asked again before it happens.
            listed: gives the paths in a folder of the repository.

        Raises:
            MlflowException: refused.
        """
        if self._is_off():
            return
        asker = self._asker()
        place = self._place(root, path)
        ended = self._guard.rules().level("finished-run") != "off"
        touched = self._places.touched(place, deep=deep)
        owners = tuple(owner for owner in touched if ended or owner.evidence)
        may_add = operation == "insert" and not deep and (asker.person is not None or asker.single_user)
        if owners and not (may_add and self._adds_report(owners, root, path, place, listed)):
            changes = tuple(
                _change(owner, place, operation, kind="report" if owner.reports(place) else "")
                for owner in owners
            )
            self._judge(changes, recorded=recorded)
        logged = {owner.run_id for owner in touched if not owner.reports(place)}
        if (
            recorded
            and logged
            and not asker.single_user
            and self._guard.rules().level("registration") != "off"
        ):
            self._note(logged, asker.login)

    def _adds_report(
        self, owners: tuple[Owner, ...], root: str, path: str, place: str, listed: Listed
    ) -> bool:
        """Whether a file written there is a new one where only reports lie."""
        reports = all(owner.reports(place) for owner in owners)
        return reports and not self._is_there(root, path, place, listed)

    def check_upload_url(self, root: str, path: str) -> None:
        """Ask before a URL is handed out with which bytes can be written past the server, also after a freeze.

        Raises:
            MlflowException: refused.
        """
        if self._is_off():
            return
        self._asker()
        place = self._place(root, path)
        owners = [owner for owner in self._places.owners_named_in(place) if owner.has(place)]
        self._judge(
            tuple(_change(owner, place, "insert", kind="upload-url") for owner in owners), recorded=True
        )

    def _is_off(self) -> bool:
        rules = self._guard.rules()
        return not self._guard.armed() or rules.level("freeze") == rules.level("finished-run") == "off"

    def _asker(self) -> Asker:
        asker = self._guard.asker()
        if asker is None:
            raise _refusal("signoff refused artifact: nobody is known to ask for it, so nothing is written")
        return asker

    def _place(self, root: str, path: str) -> str:
        try:
            place = self._places.place(root, path)
            place.encode()
        except ValueError:
            place = "\0"
        if "\0" in place:
            raise _refusal(
                "signoff refused artifact: nothing can be kept under this path, so nobody can say whose it is.\n"
                "Fix: choose a path of letters, digits, '/', '.', '-' and '_'"
            )
        return place

    def _is_there(self, root: str, path: str, place: str, listed: Listed) -> bool:
        """Whether something lies at the place; a path that is not spelled plainly counts as taken."""
        if path != posixpath.normpath(unquote(path)):
            return True
        if place.startswith("/"):
            return os.path.lexists(place)
        return any(self._places.place(root, known) == place for known in listed(posixpath.dirname(path)))


def _change(owner: Owner, place: str, operation: Literal["insert", "delete"], *, kind: str) -> Change:
    named = {"path": place, "run_uuid": owner.run_id, "model_id": owner.model_id or "", "kind": kind}
    return Change(
        table="artifacts",
        operation=operation,
        key={name: value for name, value in named.items() if value},
        before={},
        after={},
    )


def _refusal(text: str) -> Exception:
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

    refusal: Exception = MlflowException(text, error_code=PERMISSION_DENIED)
    return refusal


def install(guard: Guard, judge: Judge, *, note: Note, destination: str, engine: "sqlalchemy.Engine") -> None:
    """Guard the repositories through which this server process writes.

    Args:
        guard: knows the rules and who asks.
        judge: asks it.
        note: keeps with runs that a login writes their artifacts.
        destination: URI that the server's proxied artifacts are kept under.
        engine: of MLflow's database.
    """
    from mlflow.server import handlers

    checks = ArtifactGuard(guard, judge, Places(engine, destination), note)
    guarded(handlers._get_artifact_repo_mlflow_artifacts(), checks)  # noqa: SLF001 - made once and kept there
    for name in _BUILDERS:
        if (build := getattr(handlers, name, None)) is not None:
            setattr(handlers, name, _guarding(build, checks))


def _guarding(build: Callable[..., Any], checks: ArtifactGuard) -> Callable[..., Any]:
    """A builder of repositories for runs that lie elsewhere than below the server's own storage."""

    @functools.wraps(build)
    def built(*arguments: Any, **named: Any) -> Any:
        return guarded(build(*arguments, **named), checks)

    return built


def is_guarded(repository: object) -> bool:
    """Whether what this repository writes is judged."""
    return isinstance(getattr(type(repository), "signoff_checks", None), ArtifactGuard)


def guarded(repository: Any, checks: ArtifactGuard) -> Any:
    """The same repository, whose writing methods ask first.

    Its class becomes a subclass of what it was, so that it keeps the mixins by which MLflow tells what it can do.
    """
    kind = type(repository)
    if is_guarded(repository):
        return repository
    methods: dict[str, Any] = {"signoff_checks": checks}
    for name in _GUARDED:
        if (original := getattr(kind, name, None)) is not None:
            methods[name] = _asking(name, original, checks)
    repository.__class__ = type(f"Guarded{kind.__name__}", (kind,), methods)
    return repository


def unknown_writers(repository: object) -> tuple[str, ...]:
    """Methods that, by their names, write bytes and are not known here; a self-test refuses to start with them."""
    names = {name for name in dir(type(repository)) if name.startswith(_WRITING)}
    return tuple(sorted(names - _GUARDED - _HARMLESS))


def _asking(name: str, original: Callable[..., Any], checks: ArtifactGuard) -> Callable[..., Any]:
    """A method that asks for the path it was given, and calls the original."""
    signature = inspect.signature(original)

    def ask(arguments: tuple[Any, ...], named: dict[str, Any], *, recorded: bool = True) -> None:
        given = signature.bind(*arguments, **named).arguments
        root = given["self"].artifact_uri
        if name == "create_presigned_upload_url":
            checks.check_upload_url(root, given.get("artifact_path") or "")
            return
        deletes = name == "delete_artifacts"
        checks.check(
            root,
            _path(name, given),
            "delete" if deletes else "insert",
            deep=deletes or name == "log_artifacts",
            recorded=recorded,
            listed=lambda folder: (entry.path for entry in given["self"].list_artifacts(folder or None)),
        )

    if name == "log_artifact_from_async_stream":

        @functools.wraps(original)
        async def asking_stream(*arguments: Any, **named: Any) -> Any:
            await asyncio.to_thread(ask, arguments, named, recorded=False)
            bound = signature.bind(*arguments, **named)
            bound.arguments["chunks"] = _asking_again(
                bound.arguments["chunks"], lambda: ask(arguments, named)
            )
            return await original(*bound.args, **bound.kwargs)

        return asking_stream

    @functools.wraps(original)
    def asking(*arguments: Any, **named: Any) -> Any:
        ask(arguments, named)
        return original(*arguments, **named)

    return asking


async def _asking_again(chunks: AsyncIterable[bytes], ask: Callable[[], None]) -> AsyncIterator[bytes]:
    """The chunks; asks once more at their end, since the run may have been frozen while they came."""
    async for chunk in chunks:
        yield chunk
    await asyncio.to_thread(ask)


def _path(name: str, given: dict[str, Any]) -> str:
    """What a writing method will write or delete, relative to the repository's root."""
    folder: str = given.get("artifact_path") or ""
    if name in ("delete_artifacts", "log_artifacts"):
        return folder
    file = given.get("artifact_file_name") or given.get("local_file") or ""
    return posixpath.join(folder, posixpath.basename(str(file)))


def _is_below(place: str, above: str) -> bool:
    return place == above or place.startswith(above.rstrip("/") + "/")
