"""The minimal standard and variations of it."""

import json
from collections.abc import Mapping

import pytest

from signoff.errors import Fault, StandardError
from signoff.standard.load import load_standard
from signoff.standard.model import Standard

MINIMAL = """\
signoff: 1
profile: small
use_cases:
  churn:
    owner: ana@shop.example
    type: classification
    evaluate: {data: eval/week.parquet, label: churned}
    primary: {metric: roc_auc, no_worse_than: 0.01}
    slices:
      - {by: value_band, metric: recall, no_worse_than: 0.05}
"""


def as_text(top: Mapping[str, object], use_case: Mapping[str, object]) -> str:
    """The minimal standard without slices, with other keys laid over it; JSON is YAML too."""
    churn: dict[str, object] = {
        "owner": "ana@shop.example",
        "type": "classification",
        "evaluate": {"data": "eval/week.parquet", "label": "churned"},
        "primary": {"metric": "roc_auc", "no_worse_than": 0.01},
    }
    document = {
        "signoff": 1,
        "profile": "small",
        "use_cases": {"churn": {k: v for k, v in {**churn, **use_case}.items() if v is not ...}},
    }
    return json.dumps({k: v for k, v in {**document, **top}.items() if v is not ...}, indent=1)


def load(top: Mapping[str, object] | None = None, /, **use_case: object) -> Standard:
    """The variation as it loads."""
    return load_standard(as_text(top or {}, use_case), "signoff.yaml")


def faults_of(top: Mapping[str, object] | None = None, /, **use_case: object) -> list[Fault]:
    """The faults that the variation has."""
    with pytest.raises(StandardError) as caught:
        load(top, **use_case)
    return list(caught.value.faults)
