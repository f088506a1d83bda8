"""What a client pays for having Signoff installed, counted in modules, not in seconds."""

import subprocess
import sys


def imported_by(statement: str) -> set[str]:
    code = f"import sys; before = set(sys.modules); {statement}; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_import_signoff_imports_nothing_else() -> None:
    assert imported_by("import signoff") == {"signoff"}


def test_the_plugins_import_neither_yaml_nor_pydantic_nor_the_standard() -> None:
    code = (
        "import mlflow; import sys; before = set(sys.modules); "
        "import signoff.apps.client.plugins; print(*(set(sys.modules) - before), '|', *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    added, _, everything = done.stdout.partition("|")
    ours = {name for name in everything.split() if name.startswith("signoff")}
    assert added.split() == []  # MLflow has loaded them already
    run_plugins = {"signoff", "signoff.apps", "signoff.apps.client", "signoff.apps.client.plugins"}
    store_plugins = {
        "signoff.adapters",
        "signoff.adapters.mlflow_hooks",
        "signoff.adapters.mlflow_hooks.store_plugin",
    }
    assert ours <= run_plugins | store_plugins
    assert "ruamel.yaml" not in everything.split()


def test_the_public_names_are_what_the_module_offers() -> None:
    import signoff

    assert set(signoff.__all__) <= set(dir(signoff))
    assert all(callable(getattr(signoff, name)) for name in signoff.__all__)
    assert not hasattr(signoff, "log_nothing")
