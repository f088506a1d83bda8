"""Who a place in artifact storage belongs to, and which writes are asked about."""

import asyncio
import io
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repo import PresignedUploadMixin
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from mlflow.store.db.base_sql_model import Base
from sqlalchemy import Engine

from signoff.adapters.mlflow_artifacts import ArtifactGuard, Places, guarded, is_guarded, unknown_writers
from signoff.release.guard.evidence import FROZEN_MARK
from signoff.release.guard.model import Asker, Change
from signoff.standard.guard import GuardRule, GuardRules, Level

OPEN, FROZEN, REGISTERED, FAR = ("a" * 32, "b" * 32, "c" * 32, "d" * 32)
MODEL = "m-" + "e" * 32
DESTINATION = "s3://lab/kept"


@pytest.fixture
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """MLflow's own tables, with one run of each kind."""
    import mlflow.store.model_registry.dbmodels.models
    import mlflow.store.tracking.dbmodels.models  # noqa: F401 - both declare tables

    made = sqlalchemy.create_engine(f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}")
    wanted = ("experiments", "runs", "logged_models", "registered_models", "model_versions")
    Base.metadata.create_all(made, tables=[Base.metadata.tables[name] for name in wanted])
    runs = {
        OPEN: (f"mlflow-artifacts:/1/{OPEN}/artifacts", ""),
        FROZEN: (f"mlflow-artifacts:/1/{FROZEN}/artifacts", FROZEN_MARK),
        REGISTERED: (f"https://ml.lab/api/2.0/mlflow-artifacts/artifacts/1/{REGISTERED}/artifacts", ""),
        FAR: (f"s3://lab/kept/1/{OPEN}/deep/{FAR}/artifacts?region=x", FROZEN_MARK),
    }
    with made.begin() as connection:
        for run, (uri, mark) in runs.items():
            connection.execute(
                sqlalchemy.text(
                    "INSERT INTO runs (run_uuid, artifact_uri, entry_point_name) VALUES (:r, :u, :m)"
                ),
                {"r": run, "u": uri, "m": mark},
            )
        connection.execute(
            sqlalchemy.text(
                "INSERT INTO model_versions (name, version, run_id, workspace) VALUES ('churn', 1, :r, 'default')"
            ),
            {"r": REGISTERED},
        )
        connection.execute(
            sqlalchemy.text(
                "INSERT INTO logged_models (model_id, experiment_id, name, artifact_location, source_run_id,"
                " creation_timestamp_ms, last_updated_timestamp_ms, status) VALUES (:m, 1, 'model', :u, :r, 1, 1, 1)"
            ),
            {"m": MODEL, "u": f"mlflow-artifacts:/1/models/{MODEL}/artifacts", "r": FROZEN},
        )
    yield made
    made.dispose()


@pytest.mark.parametrize(
    ("uri", "below", "place"),
    [
        ("mlflow-artifacts:/1/r", ("artifacts",), "s3://lab/kept/1/r/artifacts"),
        ("mlflow-artifacts://host:5000/1/r", (), "s3://lab/kept/1/r"),
        ("https://h/x/api/2.0/mlflow-artifacts/artifacts/1/r", (), "s3://lab/kept/1/r"),
        ("s3://lab/kept", ("1/./r//artifacts/../artifacts",), "s3://lab/kept/1/r/artifacts"),
        ("s3://lab/kept", ("1/%72",), "s3://lab/kept/1/r"),
        ("s3://lab/kept/1/r?region=x", ("a",), "s3://lab/kept/1/r/a"),
        ("s3://lab/kept", ("",), "s3://lab/kept"),
        ("file:///srv/kept", ("1/r",), "/srv/kept/1/r"),
        ("/srv//kept/", ("/1/r/",), "/srv/kept/1/r"),
    ],
)
def test_one_place_has_one_spelling(engine: Engine, uri: str, below: tuple[str, ...], place: str) -> None:
    assert Places(engine, DESTINATION).place(uri, *below) == place


@pytest.mark.parametrize(
    ("path", "deep", "owners"),
    [
        (f"1/{OPEN}/artifacts/x", False, []),
        (f"1/{FROZEN}/artifacts/x", False, [FROZEN]),
        (f"1/{FROZEN}/artifacts", False, [FROZEN]),
        (f"1/{FROZEN}/artifacts/signoff/gate.html", False, [FROZEN]),
        (f"1/{FROZEN}/artifacts/signoff/../x", False, [FROZEN]),
        (f"1/{FROZEN}/artifacts/signoff-2/x", False, [FROZEN]),
        (f"1/{FROZEN}/artifacts-2/x", False, []),
        (f"1/{REGISTERED}/artifacts/x", False, [REGISTERED]),
        (f"1/models/{MODEL}/artifacts/model.skops", False, [FROZEN]),
        (f"1/models/{MODEL}/artifacts/signoff/x", False, [FROZEN]),
        (f"1/{OPEN}/deep/{FAR}/artifacts/x", False, [FAR]),
        (f"1/{OPEN}", False, []),
        (f"1/{OPEN}", True, [FAR]),
        ("1", False, [FROZEN, REGISTERED, FAR, FROZEN]),
        ("1", True, [FROZEN, REGISTERED, FAR, FROZEN]),
        ("1/models", True, [FROZEN]),
        ("", True, [FROZEN, REGISTERED, FAR, FROZEN]),
        ("2/x", True, []),
    ],
)
def test_evidence_is_found_above_and_below_a_place(
    engine: Engine,
    path: str,
    deep: bool,  # noqa: FBT001
    owners: list[str],
) -> None:
    places = Places(engine, DESTINATION)
    found = places.touched(places.place(DESTINATION, path), deep=deep)
    assert sorted(owner.run_id for owner in found if owner.evidence) == sorted(owners)


class Rules:
    """As much of a guard as a check of bytes asks for."""

    def __init__(self, **levels: Level) -> None:
        named: dict[GuardRule, Level] = {"freeze": "enforce", "finished-run": "off"}
        given = {rule: levels.get(rule.replace("-", "_"), level) for rule, level in named.items()}
        self.levels = GuardRules(levels=given)
        self.known = True
        self.person: str | None = None
        self.asked: list[Change] = []
        self.recorded: list[bool] = []
        self.noted: list[tuple[str, str]] = []
        self.refuses = True

    def armed(self) -> bool:
        return True

    def rules(self) -> GuardRules:
        return self.levels

    def asker(self) -> Asker | None:
        return Asker(login="ana", person=self.person) if self.known else None

    def note(self, run_ids: Iterable[str], login: str) -> None:
        self.noted += [(run_id, login) for run_id in run_ids]

    def judge(self, changes: tuple[Change, ...], *, recorded: bool) -> None:
        self.asked += changes
        self.recorded.append(recorded)
        if self.refuses:
            raise MlflowException("refused")


def checks(rules: Any, engine: Engine, destination: Path) -> ArtifactGuard:
    return ArtifactGuard(rules, rules.judge, Places(engine, str(destination)), rules.note)


async def chunks() -> AsyncIterator[bytes]:
    yield b"other bytes"


@pytest.mark.parametrize("way", ["file", "folder", "stream", "async stream", "delete"])
@pytest.mark.parametrize("run", [OPEN, FROZEN])
def test_every_way_to_write_asks_first(engine: Engine, tmp_path: Path, way: str, run: str) -> None:
    rules = Rules()
    local = tmp_path / "sent.txt"
    local.write_text("other bytes")
    (tmp_path / "folder").mkdir()
    repository = guarded(
        LocalArtifactRepository(str(tmp_path / "kept")), checks(rules, engine, tmp_path / "kept")
    )
    folder = f"1/{run}/artifacts"
    written = tmp_path / "kept" / folder / "sent.txt"
    written.parent.mkdir(parents=True)
    written.write_text("as judged")
    ways = {
        "file": lambda: repository.log_artifact(str(local), folder),
        "folder": lambda: repository.log_artifacts(str(tmp_path / "folder"), artifact_path=folder),
        "stream": lambda: repository.log_artifact_from_stream(io.BytesIO(b"other bytes"), "sent.txt", folder),
        "async stream": lambda: asyncio.run(
            repository.log_artifact_from_async_stream(chunks(), "sent.txt", artifact_path=folder)
        ),
        "delete": lambda: repository.delete_artifacts(f"{folder}/sent.txt"),
    }
    if run == OPEN:
        ways[way]()
        assert rules.asked == []
        assert rules.noted == [(OPEN, "ana")], "whoever wrote to it"
        return
    with pytest.raises(MlflowException, match="refused"):
        ways[way]()
    assert rules.noted == []
    (change,) = rules.asked
    assert (change.table, change.operation) == ("artifacts", "delete" if way == "delete" else "insert")
    assert change.key["run_uuid"] == FROZEN
    assert written.read_text() == "as judged"


@pytest.mark.parametrize("where", ["folder", "bucket"])
@pytest.mark.parametrize(
    ("person", "name", "done"),
    [
        ("ana@lab.example", "late.md", True),
        ("ana@lab.example", "early.md", False),
        ("ana@lab.example", "x/../early.md", False),
        ("ana@lab.example", "%65arly.md", False),
        (None, "late.md", False),
        (None, "early.md", False),
    ],
)
def test_a_frozen_run_takes_new_reports_from_the_roster_only(
    engine: Engine, tmp_path: Path, where: str, person: str | None, name: str, *, done: bool
) -> None:
    rules = Rules()
    rules.person = person
    folder = tmp_path / "1" / FROZEN / "artifacts/signoff/gate"
    folder.mkdir(parents=True)
    (folder / "early.md").write_text("refused")
    destination = str(tmp_path) if where == "folder" else DESTINATION
    guard: Any = rules
    judging = ArtifactGuard(guard, rules.judge, Places(engine, destination), rules.note)
    repository = LocalArtifactRepository(str(tmp_path))

    def write() -> None:
        judging.check(
            destination,
            f"1/{FROZEN}/artifacts/signoff/gate/{name}",
            "insert",
            listed=lambda path: [entry.path for entry in repository.list_artifacts(path)],
        )

    if done:
        write()
        assert rules.asked == []
        return
    with pytest.raises(MlflowException, match="refused"):
        write()
    assert [change.key["kind"] for change in rules.asked] == ["report"]


@pytest.mark.parametrize("path", ["gate", "gate/early.md", ""])
def test_nobody_deletes_a_frozen_runs_reports(engine: Engine, tmp_path: Path, path: str) -> None:
    rules = Rules()
    rules.person = "ana@lab.example"
    repository = guarded(LocalArtifactRepository(str(tmp_path)), checks(rules, engine, tmp_path))
    report = tmp_path / "1" / FROZEN / "artifacts/signoff/gate/early.md"
    report.parent.mkdir(parents=True)
    report.write_text("refused")
    with pytest.raises(MlflowException, match="refused"):
        repository.delete_artifacts(f"1/{FROZEN}/artifacts/signoff/{path}")
    assert report.exists()


def test_a_report_is_added_through_the_repository(engine: Engine, tmp_path: Path) -> None:
    rules = Rules()
    rules.person = "ana@lab.example"
    repository = guarded(LocalArtifactRepository(str(tmp_path)), checks(rules, engine, tmp_path))
    folder = f"1/{FROZEN}/artifacts/signoff/gate"
    asyncio.run(repository.log_artifact_from_async_stream(chunks(), "late.md", artifact_path=folder))
    assert (tmp_path / folder / "late.md").read_bytes() == b"other bytes"
    with pytest.raises(MlflowException, match="refused"):
        asyncio.run(repository.log_artifact_from_async_stream(chunks(), "late.md", artifact_path=folder))


@pytest.mark.parametrize("path", ["1/\0x", f"1/{FROZEN}/artifacts/\0", "1/%00", "1/\udc80"])
@pytest.mark.parametrize("destination", [None, DESTINATION])
def test_a_path_under_which_nothing_can_be_kept_is_refused(
    engine: Engine, tmp_path: Path, path: str, destination: str | None
) -> None:
    rules: Any = Rules()
    judging = ArtifactGuard(rules, rules.judge, Places(engine, destination or str(tmp_path)), rules.note)
    with pytest.raises(MlflowException, match="nothing can be kept under this path"):
        judging.check(destination or str(tmp_path), path, "insert")
    with pytest.raises(MlflowException, match="nothing can be kept under this path"):
        judging.check_upload_url(destination or str(tmp_path), path)


def test_a_run_that_is_frozen_while_bytes_arrive_keeps_its_own(engine: Engine, tmp_path: Path) -> None:
    rules = Rules()
    repository = guarded(LocalArtifactRepository(str(tmp_path)), checks(rules, engine, tmp_path))

    async def slow() -> AsyncIterator[bytes]:
        yield b"other"
        with engine.begin() as connection:
            connection.execute(
                sqlalchemy.text("UPDATE runs SET entry_point_name = :m WHERE run_uuid = :r"),
                {"m": FROZEN_MARK, "r": OPEN},
            )
        yield b" bytes"

    with pytest.raises(MlflowException, match="refused"):
        asyncio.run(repository.log_artifact_from_async_stream(slow(), "x.txt", f"1/{OPEN}/artifacts"))
    assert not (tmp_path / "1" / OPEN / "artifacts" / "x.txt").exists()


def test_what_is_asked_twice_is_recorded_once(engine: Engine, tmp_path: Path) -> None:
    rules = Rules()
    rules.refuses = False
    repository = guarded(LocalArtifactRepository(str(tmp_path)), checks(rules, engine, tmp_path))
    asyncio.run(repository.log_artifact_from_async_stream(chunks(), "x.txt", f"1/{FROZEN}/artifacts"))
    assert rules.recorded == [False, True]


def test_bytes_that_nobody_asks_for_are_not_written_and_a_rule_that_is_off_asks_nothing(
    engine: Engine, tmp_path: Path
) -> None:
    rules = Rules()
    rules.known = False
    repository = guarded(LocalArtifactRepository(str(tmp_path)), checks(rules, engine, tmp_path))
    with pytest.raises(MlflowException, match="nobody is known"):
        repository.log_artifact_from_stream(io.BytesIO(b""), "x.txt", f"1/{OPEN}/artifacts")
    off = Rules(freeze="off")
    other = guarded(LocalArtifactRepository(str(tmp_path / "off")), checks(off, engine, tmp_path / "off"))
    other.log_artifact_from_stream(io.BytesIO(b""), "x.txt", f"1/{FROZEN}/artifacts")
    assert off.asked == []


def test_where_finished_runs_are_closed_every_run_is_asked_about(engine: Engine, tmp_path: Path) -> None:
    rules = Rules(freeze="off", finished_run="enforce")
    repository = guarded(LocalArtifactRepository(str(tmp_path)), checks(rules, engine, tmp_path))
    with pytest.raises(MlflowException, match="refused"):
        repository.log_artifact_from_stream(io.BytesIO(b""), "x.txt", f"1/{OPEN}/artifacts")
    assert [change.key["run_uuid"] for change in rules.asked] == [OPEN]


class Presigning(LocalArtifactRepository, PresignedUploadMixin):  # type: ignore[misc]
    """A folder that hands out URLs, as buckets do."""

    def create_presigned_upload_url(self, artifact_path: str, expiration: int = 900) -> str:
        return f"{artifact_path} for {expiration} s"


def test_an_upload_url_is_asked_about_for_every_run(engine: Engine, tmp_path: Path) -> None:
    rules = Rules()
    root = tmp_path / "1" / OPEN / "artifacts"
    repository = guarded(Presigning(str(root)), checks(rules, engine, tmp_path))
    assert isinstance(repository, PresignedUploadMixin)
    with pytest.raises(MlflowException, match="refused"):
        repository.create_presigned_upload_url("model.txt", expiration=60)
    assert [(change.key["run_uuid"], change.key["kind"]) for change in rules.asked] == [(OPEN, "upload-url")]


def test_a_guarded_repository_is_still_what_it_was_and_guarded_once(engine: Engine, tmp_path: Path) -> None:
    plain = LocalArtifactRepository(str(tmp_path))
    assert not is_guarded(plain)
    repository = guarded(plain, checks(Rules(), engine, tmp_path))
    kind = type(repository)
    assert repository is plain
    assert isinstance(repository, LocalArtifactRepository)
    assert is_guarded(guarded(repository, checks(Rules(), engine, tmp_path)))
    assert type(repository) is kind


def test_a_writing_method_that_is_not_known_is_named() -> None:
    class Newer(LocalArtifactRepository):  # type: ignore[misc]
        def upload_in_a_new_way(self) -> None:
            """Would write."""

    assert unknown_writers(LocalArtifactRepository("x")) == ()
    assert unknown_writers(Newer("x")) == ("upload_in_a_new_way",)
