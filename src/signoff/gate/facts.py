"""Checks of what the run's record says: is its data documented, could it be made again?"""

from signoff.gate.model import CheckResult
from signoff.record.capture import ENVIRONMENT_ARTIFACT, ENVIRONMENT_DIGEST, GIT_COMMIT, GIT_DIRTY, fact
from signoff.record.run import RunRecord
from signoff.standard.model import GateRules

FEATURE_PARAMS = ("feature_set", "features", "feature_table_version", "feature_set_version")
"""Parameters of which one must say which features the model was trained on."""
TRAINING = "training"
"""Context under which training data is logged."""
_NO_SOURCE = frozenset({"", "code"})  # MLflow's type "code" says only that some program made the data


def run_checks(rules: GateRules, run: RunRecord) -> tuple[CheckResult, ...]:
    """The documented and reproducible checks that the rules ask for; none when they ask for neither."""
    checks: list[CheckResult] = []
    if rules.documented_data:
        checks += [_data(run), _features(run)]
    if rules.reproducible:
        checks += [_commit(run), _parameters(run), _environment(run)]
    return tuple(checks)


def _data(run: RunRecord) -> CheckResult:
    training = [data for data in run.datasets if data.context == TRAINING]
    whole = [data for data in training if data.digest and data.source and data.source_type not in _NO_SOURCE]
    if whole:
        shown = ", ".join(f"{data.name} from {data.source}, digest {data.digest[:19]}" for data in whole)
        return _check("documented:data", ok=True, message=shown)
    if training:
        lacking = ", ".join(data.name for data in training)
        problem = (
            f"training data {lacking} was logged without a source that can be read again, or without digest"
        )
    elif run.datasets:
        contexts = ", ".join(sorted({data.context or "none" for data in run.datasets}))
        problem = f"no data set was logged with context {TRAINING} (found: {contexts})"
    else:
        problem = "no training data was logged"
    fix = f'log it: signoff.log_dataset(path, context="{TRAINING}")'
    return _check("documented:data", ok=False, message=f"{problem}; {fix}")


def _features(run: RunRecord) -> CheckResult:
    found = [f"{name} = {run.params[name]}" for name in FEATURE_PARAMS if run.params.get(name)]
    message = ", ".join(found) or (
        "no parameter says which features were used; "
        'log one: mlflow.log_param("feature_table_version", "2026-11-16")'
    )
    return _check("documented:features", ok=bool(found), message=message)


def _commit(run: RunRecord) -> CheckResult:
    commit, dirty = fact(run, GIT_COMMIT), fact(run, GIT_DIRTY)
    if commit is None:
        message = "the run names no git commit; train from a git repository with signoff installed"
    elif dirty == "false":
        return _check("reproducible:commit", ok=True, message=f"commit {commit[:12]}, clean")
    elif dirty == "true":
        message = f"uncommitted changes on top of {commit[:12]}; commit them and train again"
    else:
        message = f"commit {commit[:12]}, but not known to be clean; train with signoff installed"
    return _check("reproducible:commit", ok=False, message=message)


def _parameters(run: RunRecord) -> CheckResult:
    count = len(run.params)
    message = f"{count} logged" if count else "no parameter was logged; log them: mlflow.log_params({...})"
    return _check("reproducible:parameters", ok=count > 0, message=message)


def _environment(run: RunRecord) -> CheckResult:
    digest = fact(run, ENVIRONMENT_DIGEST)
    attached = ENVIRONMENT_ARTIFACT in run.artifacts
    if digest and attached:
        return _check("reproducible:environment", ok=True, message=f"{ENVIRONMENT_ARTIFACT}, {digest[:19]}")
    lacking = " and ".join(
        name
        for name, there in ((f"tag {ENVIRONMENT_DIGEST}", digest), (f"file {ENVIRONMENT_ARTIFACT}", attached))
        if not there
    )
    return _check(
        "reproducible:environment",
        ok=False,
        message=f"the run lacks {lacking}; call signoff.log_evidence() in the run, or signoff check --fix after it",
    )


def _check(name: str, *, ok: bool, message: str) -> CheckResult:
    kind, subject = name.split(":")
    return CheckResult(
        id=name,
        title=f"{kind}({subject})",
        status="pass" if ok else "fail",
        severity="block",
        message=message,
    )
