"""A team's workspace: its standard, its roster, its MLflow store and its ledger, opened on first use."""

import difflib
import getpass
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Protocol

from signoff.addresses import masked, shown
from signoff.apps.standard_file import find_standard, read_standard, read_text
from signoff.conformance.boundary import use_case_of
from signoff.conformance.ports import RunReader
from signoff.errors import ModelError, SignoffError, StoreError, UsageError
from signoff.evidence.dsse import Signer
from signoff.evidence.ledger import Entry, Ledger, LogHead
from signoff.evidence.roster import parse_roster
from signoff.record.run import LoggedModelRecord, RunRecord
from signoff.release.people import People
from signoff.release.ports import RegistryReader
from signoff.review.ports import SurveyReader
from signoff.standard.environments import credentials_prefix
from signoff.standard.model import EnvironmentRules, Standard, UseCaseRules

if TYPE_CHECKING:
    from signoff.adapters.key_files import Passphrase
    from signoff.adapters.ledger_http import HttpLedger
    from signoff.adapters.ledger_sql import SqlLedger
    from signoff.adapters.mlflow_store import MlflowStore
    from signoff.adapters.model_folder import ModelFolder
    from signoff.apps.repeated import RepeatedRefusals

KEY_VARIABLE = "SIGNOFF_KEY"
_DATABASES = ("sqlite", "postgresql")
_SECRET_KINDS = ("USERNAME", "PASSWORD", "TOKEN")


class Reader(RunReader, RegistryReader, SurveyReader, Protocol):
    """Runs and registry of one store, one by one or all of them."""


class Key(Signer, Protocol):
    """What a person signs with."""

    @property
    def fingerprint(self) -> str:
        """``SHA256:…`` as ``ssh-keygen -l`` prints it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Actor:
    """Who gives the command.

    Attributes:
        name: the e-mail that the roster gives to the key; ``unknown key SHA256:…`` for a key that is not on
            it; ``unverified:<user>`` without a key.
        key: signs what the person says; None without one.
        login: on a server, the name under which it authenticated them; stands in every entry. None elsewhere.
    """

    name: str
    key: Key | None
    login: str | None = None


@dataclass(kw_only=True, slots=True)
class Workspace:
    """Everything a command needs, opened lazily.

    Attributes:
        standard: the team's standard.
        folder: the folder the standard lies in; paths in it are relative to this.
        tracking_uri: MLflow's.
        ledger_uri: the ledger's database; None when only MLflow's HTTP address is known: the server's API is
            asked then.
        on_server: this is the workspace of an MLflow server, which decides again what clients decided: tables to
            evaluate on or to score may not lie here, and no model is loaded.
        served: on a server, the folder or bucket of the artifacts that it proxies; None elsewhere.
        refusals: on a server, what this process refused of late; None elsewhere: every refusal is written.
    """

    standard: Standard
    folder: Path
    tracking_uri: str
    ledger_uri: str | None
    on_server: bool = False
    served: str | None = None
    refusals: "RepeatedRefusals | None" = field(default=None, repr=False)
    _stores: "dict[str, MlflowStore]" = field(default_factory=dict, repr=False)
    _people: People | None = field(default=None, repr=False)
    _remote_ledger: "HttpLedger | None" = field(default=None, repr=False)

    @property
    def shown_uri(self) -> str:
        """The tracking URI without user, password and options."""
        return shown(self.tracking_uri)

    def use_case(self, name: str) -> UseCaseRules:
        """The rules of a use case, by its name or that of its registered model.

        Raises:
            UsageError: the standard knows no such use case.
        """
        for rules in self.standard.use_cases.values():
            if name in (rules.name, rules.registered_model):
                return rules
        close = difflib.get_close_matches(name, self.standard.use_cases, n=1)
        raise UsageError(
            f"the standard knows no use case {name!r}",
            where=self.standard.path,
            hint=f"did you mean {close[0]!r}?" if close else f"it has: {', '.join(self.standard.use_cases)}",
        )

    def use_case_of_run(self, run: RunRecord) -> UseCaseRules:
        """The rules of the use case whose boundary holds the run's experiment.

        Raises:
            UsageError: none does.
        """
        name = use_case_of(self.standard, run.experiment)
        if name is None:
            raise UsageError(
                f"run {run.run_id} is in experiment {run.experiment!r}, which belongs to no use case",
                where=self.standard.path,
                hint="log it in a use case's experiment, or add the experiment to one in the standard",
            )
        return self.standard.use_cases[name]

    def environment(self, rules: UseCaseRules, name: str) -> EnvironmentRules:
        """One environment's rules.

        Raises:
            UsageError: the standard knows no such environment.
        """
        if name not in rules.environments:
            raise UsageError(
                f"the standard knows no environment {name!r}",
                where=self.standard.path,
                hint=f"it has: {', '.join(rules.environments)}",
            )
        return rules.environments[name]

    def reader(self) -> Reader:
        """Reads runs and the registry of the standard's store, without importing MLflow where SQL or REST will do.

        Raises:
            StoreError: this kind of store cannot be read.
        """
        return _open_reader(self.tracking_uri, self.store(), _process_credentials())

    def reader_of(self, environment: EnvironmentRules) -> Reader:
        """Reads the registry that an environment's releases stand in: its own server's, or the standard's store.

        Raises:
            StoreError: this kind of store cannot be read.
        """
        if environment.server is None:
            return self.reader()
        return _open_reader(
            self.address_of(environment), self.store_of(environment), server_credentials(environment.name)
        )

    def store(self) -> "MlflowStore":
        """MLflow's own client for the standard's store; imports MLflow on its first call."""
        return self._opened("", self.tracking_uri, None)

    def store_of(self, environment: EnvironmentRules) -> "MlflowStore":
        """MLflow's own client for what an environment's releases stand in."""
        if environment.server is None:
            return self.store()
        return self._opened(
            environment.name, self.address_of(environment), server_credentials(environment.name)
        )

    def _opened(self, environment: str, address: str, credentials: Mapping[str, str] | None) -> "MlflowStore":
        if environment not in self._stores:
            from signoff.adapters.mlflow_store import MlflowStore

            own = self.served if environment == "" else None
            self._stores[environment] = MlflowStore(address, credentials=credentials, served=own)
        return self._stores[environment]

    def address_of(self, environment: EnvironmentRules) -> str:
        """The tracking URI of what an environment's releases stand in."""
        if environment.server is None:
            return self.tracking_uri
        return absolute_uri(environment.server, self.folder)

    def log_head(self) -> LogHead:
        """The audit log's head that a decision rests on and a statement names: now, or when it was said.

        Raises:
            StoreError: no ledger can be reached from here.
        """
        return _SAID_ON.get() or self.ledger().head()

    def ledger(self, *, create: bool = False) -> "SqlLedger | HttpLedger":
        """The ledger: its database, or a guarded server's API where only that is known.

        Args:
            create: make its tables when they are not there, as writing commands do; a server has made its own.

        Raises:
            StoreError: no ledger can be reached from here.
        """
        if self.ledger_uri is None:
            return self._ledger_of_server()
        from signoff.adapters.ledger_sql import SqlLedger

        ledger = SqlLedger(self.ledger_uri)
        if create and not ledger.exists():
            ledger.migrate(standalone=self.ledger_uri != self.tracking_uri)
        return ledger

    def _ledger_of_server(self) -> "HttpLedger":
        if self._remote_ledger is None:
            from signoff.adapters.ledger_http import HttpLedger
            from signoff.remote import Remote

            given = _process_credentials()
            remote = Remote(
                self.tracking_uri,
                username=given.get("MLFLOW_TRACKING_USERNAME"),
                password=given.get("MLFLOW_TRACKING_PASSWORD"),
                token=given.get("MLFLOW_TRACKING_TOKEN"),
            )
            self._remote_ledger = HttpLedger(remote, standard=self.standard.digest)
        return self._remote_ledger

    @property
    def decides_elsewhere(self) -> bool:
        """Whether the ledger is behind a server, which decides again and writes what only it may write."""
        return self.ledger_uri is None

    def people(self) -> People:
        """The roster with the standard's roles.

        Raises:
            UsageError: there is no roster.
            StandardError: it has faults.
        """
        if self._people is None:
            path = self.folder / self.standard.roster
            if not path.is_file():
                raise UsageError(
                    "there is no roster: nobody can sign",
                    where=str(path),
                    hint="`signoff init` writes one to fill in; people, their roles and public keys stand there",
                )
            roster = parse_roster(read_text(path), self.standard.roster)
            self._people = People(roster=roster, roles=self.standard.roles)
        return self._people

    def path(self, relative: str) -> Path:
        """A path of the standard."""
        return self.folder / relative


def open_workspace(standard: str | None = None) -> Workspace:
    """Open the workspace of the standard that applies here.

    Args:
        standard: path of the file; None: ``SIGNOFF_STANDARD``, else ``signoff.yaml`` upward from here.

    Raises:
        UsageError: there is no standard.
        StandardError: it has faults.
    """
    path = find_standard(standard).absolute()
    loaded = read_standard(path)
    tracking = os.environ.get("MLFLOW_TRACKING_URI") or loaded.store or "sqlite:///mlflow.db"
    tracking = absolute_uri(tracking, path.parent)
    ledger = None if loaded.ledger is None else absolute_uri(loaded.ledger, path.parent)
    if ledger is None and scheme_of(tracking) in _DATABASES:
        ledger = tracking
    return Workspace(standard=loaded, folder=path.parent, tracking_uri=tracking, ledger_uri=ledger)


def reader_at(address: str) -> Reader:
    """Reads the store at an address that no standard names yet, with the process's credentials.

    Raises:
        StoreError: this kind of store is not read.
    """
    from signoff.adapters.mlflow_store import MlflowStore

    return _open_reader(address, MlflowStore(address), _process_credentials())


def _open_reader(address: str, store: "MlflowStore", credentials: Mapping[str, str]) -> Reader:
    scheme = scheme_of(address)
    if scheme in _DATABASES:
        from signoff.adapters.mlflow_sql import SqlReader

        return SqlReader(address, fetch_text=store.read_file, list_files=store.list_files)
    if scheme in ("http", "https"):
        from signoff.adapters.mlflow_rest import RestReader

        return RestReader(
            address,
            username=credentials.get("MLFLOW_TRACKING_USERNAME"),
            password=credentials.get("MLFLOW_TRACKING_PASSWORD"),
            token=credentials.get("MLFLOW_TRACKING_TOKEN"),
        )
    raise StoreError(
        f"stores of kind {scheme or 'file'!r} are not read",
        where=shown(address),
        hint="use sqlite:///…, postgresql+psycopg2://… or an MLflow server's http address",
    )


def _process_credentials() -> Mapping[str, str]:
    names = (f"MLFLOW_TRACKING_{kind}" for kind in _SECRET_KINDS)
    return {name: os.environ[name] for name in names if name in os.environ}


def server_credentials(environment: str) -> Mapping[str, str]:
    """What the process's environment gives for an environment's own server, under the names that MLflow knows.

    ``SIGNOFF_PROD_PASSWORD`` is the password for the server of prod. The process's MLflow credentials belong to
    the standard's store and are not sent there.
    """
    prefix = credentials_prefix(environment)
    given = {kind: os.environ.get(prefix + kind) for kind in _SECRET_KINDS}
    return {f"MLFLOW_TRACKING_{kind}": value for kind, value in given.items() if value}


def scheme_of(uri: str) -> str:
    """An address's scheme without driver; "" for a path. Works on an address that is malformed behind it."""
    scheme, separator, _ = uri.partition(":")
    return scheme.split("+")[0].lower() if separator else ""


def absolute_uri(uri: str, folder: Path) -> str:
    """SQLite paths are relative to the standard's folder, so that a command works from anywhere below it."""
    prefix = "sqlite:///"
    if not uri.startswith(prefix) or uri.startswith(prefix + "/"):
        return uri
    return f"{prefix}{folder / uri.removeprefix(prefix)}"


def open_actor(workspace: Workspace, key: str | None, *, passphrase: "Passphrase | None" = None) -> Actor:
    """Who gives the command: the person on the roster whose key it is.

    Args:
        workspace: for the roster.
        key: path of a private key file; None: ``SIGNOFF_KEY``; without either the actor is unverified.
        passphrase: asks for the passphrase of an encrypted key.

    Raises:
        EvidenceError: the key cannot be loaded.
    """
    chosen = key or os.environ.get(KEY_VARIABLE)
    if not chosen:
        return Actor(name=f"unverified:{_os_user()}", key=None)
    from signoff.adapters.key_files import load_key

    loaded = load_key(Path(chosen), passphrase)
    person = workspace.people().roster.by_fingerprint(loaded.fingerprint)
    return Actor(name=f"unknown key {loaded.fingerprint}" if person is None else person.email, key=loaded)


def require_key(actor: Actor) -> Key:
    """The actor's key.

    Raises:
        UsageError: the command was given without one.
    """
    if actor.key is None:
        raise UsageError(
            "this needs your signature",
            hint=f"add --key PATH of your OpenSSH Ed25519 private key, or set {KEY_VARIABLE}",
        )
    return actor.key


def _os_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "nobody"


_SAID_AT: ContextVar[str | None] = ContextVar("signoff_said_at", default=None)
_SAID_ON: ContextVar[LogHead | None] = ContextVar("signoff_said_on", default=None)


def now() -> str:
    """ISO 8601 UTC time with seconds; while something that was said before is decided again, the time of that."""
    return _SAID_AT.get() or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def said_at(time: str, *, log: LogHead | None = None) -> Iterator[None]:
    """Decide as of that time until the block ends, in this thread or task: it stands in what was signed.

    Args:
        time: ISO 8601 UTC.
        log: the log's head that was signed with it; what was decided since is a conflict. None: as it is.
    """
    before, head = _SAID_AT.set(time), _SAID_ON.set(log)
    try:
        yield
    finally:
        _SAID_ON.reset(head)
        _SAID_AT.reset(before)


def run_model(run: RunRecord, name: str | None = None) -> LoggedModelRecord:
    """The model that a run stands for.

    Args:
        run: the run.
        name: its name or id, when the run logged several.

    Raises:
        ModelError: there is none, or more than one to choose from.
    """
    models = [m for m in run.models if name is None or name in (m.name, m.model_id)]
    if len(models) == 1:
        return models[0]
    if not models:
        raise ModelError(
            "the run logged no model" if name is None else f"the run logged no model {name!r}",
            where=f"run {run.run_id}",
            hint="mlflow.sklearn.log_model(model, name='model', signature=…, input_example=…)",
        )
    raise ModelError(
        f"the run logged {len(models)} models: {', '.join(m.name for m in models)}",
        where=f"run {run.run_id}",
        hint="log one model per run: a candidate is one model",
    )


@contextmanager
def private_copy(
    workspace: Workspace, uri: str, environment: EnvironmentRules | None = None
) -> Iterator["ModelFolder"]:
    """A hashed private copy of a model's files, removed at the end of the block.

    Args:
        workspace: the team's workspace.
        uri: where the files are.
        environment: the environment whose server has them; None: the standard's store does.
    """
    from signoff.adapters.model_folder import copy_model

    store = workspace.store() if environment is None else workspace.store_of(environment)
    with TemporaryDirectory(prefix="signoff-") as folder:
        yield copy_model(uri, Path(folder), download=store.download)


@contextmanager
def recorded_failure(ledger: Ledger, entry: Entry) -> Iterator[None]:
    """Append the entry when the block ends in an error of ours: what could not be decided is remembered too."""
    try:
        yield
    except SignoffError as error:
        try:
            with ledger.transaction() as writer:
                reasons = (masked(error.what, os.environ),)
                writer.append(replace(entry, outcome="failed", statement=None, reasons=reasons))
        except SignoffError as unrecorded:  # the first trouble is the one to tell
            raise error from unrecorded
        raise
