import pytest

from signoff.apps.client.capture import pipeline


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "local"),
        ({"GITHUB_RUN_ID": "81723"}, "github/81723"),
        ({"BUILD_ID": "9", "CI_PIPELINE_ID": "4"}, "gitlab/4"),
        ({"AIRFLOW_CTX_DAG_RUN_ID": "scheduled__2011-06-05"}, "airflow/scheduled__2011-06-05"),
        ({"GITHUB_RUN_ID": "81723", "SIGNOFF_PIPELINE": "weekly-7"}, "weekly-7"),
        ({"GITHUB_RUN_ID": ""}, "local"),
    ],
)
def test_the_scheduler_that_runs_us_is_recognised(environ: dict[str, str], expected: str) -> None:
    assert pipeline(environ) == expected
