"""The tags of a run: each fact on its own, so that one that cannot be found out costs no other."""

import getpass
import os
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from signoff.adapters import git
from signoff.adapters.environment import DATABRICKS, current_environment, platform_facts, runtime
from signoff.apps.client.team import USE_CASE_VARIABLE, current_standard, use_case, warn_once
from signoff.record import capture
from signoff.standard.model import Standard

LIMIT = 8_000
"""Characters that MLflow keeps of a tag."""

PIPELINES = {
    "GITHUB_RUN_ID": "github",
    "CI_PIPELINE_ID": "gitlab",
    "BUILDKITE_BUILD_ID": "buildkite",
    "CIRCLE_WORKFLOW_ID": "circleci",
    "BUILD_BUILDID": "azure",
    "AIRFLOW_CTX_DAG_RUN_ID": "airflow",
    "PREFECT__FLOW_RUN_ID": "prefect",
    "DAGSTER_RUN_ID": "dagster",
    "ARGO_WORKFLOW_NAME": "argo",
    "DATABRICKS_JOB_RUN_ID": "databricks",
    "DATABRICKS_JOB_ID": "databricks",
    "BUILD_ID": "build",
}
"""Variables by which a scheduler names its run, and the word shown before the id; the generic ones last."""

_slow_trees: set[Path] = set()


def run_tags() -> dict[str, str]:
    """All facts that can be found out about the run that is about to start."""
    standard: Standard | None = None
    tags: dict[str, str] = {}

    def add(facts: Callable[[], Mapping[str, str | None]]) -> None:
        try:
            found = facts()
        except Exception as error:  # noqa: BLE001 - capture must never break training
            warn_once(f"a fact about this run is missing: {type(error).__name__}: {error}")
            return
        tags.update({name: value[:LIMIT] for name, value in found.items() if value})

    def read_standard() -> dict[str, str | None]:
        nonlocal standard
        standard = current_standard()
        return _standard_facts(standard)

    add(read_standard)
    root = _repository()
    add(lambda: _code_facts(root))
    add(lambda: {capture.CONTRIBUTOR: _contributor(root)})
    add(lambda: {capture.ENVIRONMENT: os.environ.get("SIGNOFF_ENVIRONMENT") or "dev"})
    add(lambda: {capture.PIPELINE: pipeline(os.environ)})
    add(lambda: {capture.TRIGGER: os.environ.get(capture.TRIGGER_VARIABLE)})
    add(_environment_facts)
    if standard is not None and standard.capture == "full":
        add(_platform_facts)
    return tags


def pipeline(environ: Mapping[str, str]) -> str:
    """Id of the scheduled run that this process belongs to, such as ``github/81723``; ``local`` outside one."""
    if named := environ.get("SIGNOFF_PIPELINE"):
        return named
    for variable, system in PIPELINES.items():
        if value := environ.get(variable):
            return f"{system}/{value}"
    if environ.get(DATABRICKS) and (job := _databricks_job()):
        return f"databricks/{job}"
    return "local"


def _standard_facts(standard: Standard | None) -> dict[str, str | None]:
    if standard is None:
        return {capture.USE_CASE: os.environ.get(USE_CASE_VARIABLE)}
    rules = use_case(standard, _experiment_name() if len(standard.use_cases) > 1 else None)
    return {
        capture.STANDARD_VERSION: standard.version,
        capture.STANDARD_DIGEST: str(standard.digest),
        capture.USE_CASE: None if rules is None else rules.name,
        capture.OWNER: None if rules is None else rules.owner,
    }


def _experiment_name() -> str | None:
    """The experiment that ``mlflow.set_experiment`` or the environment chose.

    One given to ``start_run(experiment_id=…)`` itself is out of a plugin's sight.
    """
    if identifier := os.environ.get("MLFLOW_EXPERIMENT_ID"):
        import mlflow

        return _name_of(mlflow.get_tracking_uri(), identifier)
    return os.environ.get("MLFLOW_EXPERIMENT_NAME")


@cache
def _name_of(_tracking_uri: str, experiment_id: str) -> str:
    import mlflow

    return str(mlflow.MlflowClient().get_experiment(experiment_id).name)


def _code_facts(root: Path | None) -> dict[str, str | None]:
    facts: dict[str, str | None] = {capture.ENTRY_POINT: entry_point(root)}
    if root is not None:
        state = git.read_state(root, with_dirty=root not in _slow_trees)
        if state is None or state.dirty is None:
            _slow_trees.add(root)
        if state is not None:
            facts[capture.GIT_COMMIT] = state.commit
            facts[capture.GIT_BRANCH] = state.branch
            facts[capture.GIT_DIRTY] = None if state.dirty is None else str(state.dirty).lower()
    return facts


def entry_point(root: Path | None) -> str | None:
    """The script or notebook that runs, relative to the repository; its bare name outside one."""
    file = _main_file()
    if file is None:
        return None
    if root is not None and file.is_relative_to(root):
        return file.relative_to(root).as_posix()
    return file.name


def _repository() -> Path | None:
    """The repository of the script that runs, else of the working folder."""
    try:
        folder = Path.cwd()
    except OSError:
        return None
    file = _main_file()
    if file is not None and not file.is_relative_to(Path(sys.prefix).resolve()):
        return git.find_repository(file.parent) or git.find_repository(folder)
    return git.find_repository(folder)


def _main_file() -> Path | None:
    main = sys.modules.get("__main__")
    for candidate in (
        getattr(main, "__vsc_ipynb_file__", None),  # a notebook in VS Code
        os.environ.get("JPY_SESSION_NAME"),  # a notebook in Jupyter
        getattr(main, "__file__", None),
    ):
        if isinstance(candidate, str) and candidate:
            return Path(candidate).resolve()
    return None


@cache
def _contributor(root: Path | None) -> str | None:
    if address := os.environ.get("GIT_AUTHOR_EMAIL") or git.read_email(root):
        return address
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return None  # a container's user may have no name


def _environment_facts() -> dict[str, str | None]:
    environment = current_environment(os.environ, full=False)
    return {
        capture.PYTHON: environment.python,
        capture.RUNTIME: runtime(environment.packages, os.environ),
        capture.ENVIRONMENT_DIGEST: str(environment.digest),
    }


def _platform_facts() -> dict[str, str]:
    return {f"{capture.PLATFORM_PREFIX}{name}": value for name, value in platform_facts(os.environ).items()}


def _databricks_job() -> str | None:
    from mlflow.utils import databricks_utils

    if not databricks_utils.is_in_databricks_job():
        return None
    job, run = databricks_utils.get_job_id(), databricks_utils.get_job_run_id()
    return f"{job}/{run}" if run else job
