from dataclasses import replace
from typing import Any

import pytest

from signoff.conformance.decide import check_run
from signoff.conformance.fix import apply_fixes, plan_fixes
from signoff.record.environment import EnvironmentRecord
from signoff.record.run import RunRecord
from signoff.standard.model import UseCaseRules

SAME = EnvironmentRecord(python="3.11.7", packages="mlflow==3.17.2\n")
OTHER = EnvironmentRecord(python="3.11.7", packages="mlflow==3.16.0\n")


@pytest.fixture
def gaps(run: RunRecord) -> RunRecord:
    tags = {key: value for key, value in run.tags.items() if key != "signoff.owner"}
    return replace(run, artifacts=("evidence/threshold_rationale.md",), tags=tags, params={})


def test_applying_the_plan_leaves_only_what_the_author_must_add(
    rules: UseCaseRules, gaps: RunRecord, store: Any
) -> None:
    store.held = [gaps]
    plan = plan_fixes(rules, gaps, SAME)
    apply_fixes(plan.fixes, store)
    assert sorted(store.writes) == [
        (gaps.run_id, "environment/requirements.txt", "mlflow==3.17.2\n"),
        (gaps.run_id, "signoff.owner", "ana@shop.example"),
    ]
    assert [finding.code for finding in check_run(rules, store.run(gaps.run_id))] == ["param:threshold"]
    assert plan_fixes(rules, store.run(gaps.run_id), SAME).fixes == ()


def test_another_environment_is_never_passed_off_as_the_runs_own(
    rules: UseCaseRules, gaps: RunRecord
) -> None:
    plan = plan_fixes(rules, gaps, OTHER)
    assert [fix.code for fix in plan.fixes] == ["tag:signoff.owner"]
    assert str(OTHER.digest) in plan.left[0]
    assert str(SAME.digest) in plan.left[0]
