"""Signoff makes MLflow safe to release from.

What training code calls:

    log_dataset    say which data a run used, with a digest of its bytes
    log_evidence   attach what only the author knows, such as why the threshold is what it is
    log_bundle     log an AI application as one model: embedder, index, retriever, prompt, generator, guardrails
    open_bundle    the same in memory, to try settings on before one is logged

What notebooks, schedulers and services call:

    check          hold runs against the standard
    gate_run       judge a run against production
    propose        register a run as a candidate
    load_model     the released model of an environment, verified before it is loaded
    lineage        trace a release or output table back to all it rests on

Each function's module is imported on first use, so that ``import signoff`` costs nothing.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from signoff.apps.api import check, gate_run, lineage, load_model, propose
    from signoff.apps.client.bundle import log_bundle, open_bundle
    from signoff.apps.client.datasets import log_dataset
    from signoff.apps.client.evidence import log_evidence

__all__ = [
    "check",
    "gate_run",
    "lineage",
    "load_model",
    "log_bundle",
    "log_dataset",
    "log_evidence",
    "open_bundle",
    "propose",
]

# A public function is one line here, one import above and one name in __all__.
_MODULES = {
    "check": "signoff.apps.api",
    "gate_run": "signoff.apps.api",
    "lineage": "signoff.apps.api",
    "load_model": "signoff.apps.api",
    "propose": "signoff.apps.api",
    "log_bundle": "signoff.apps.client.bundle",
    "open_bundle": "signoff.apps.client.bundle",
    "log_dataset": "signoff.apps.client.datasets",
    "log_evidence": "signoff.apps.client.evidence",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
