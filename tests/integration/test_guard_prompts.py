"""A prompt that a released bundle carries stays in MLflow's registry as it was released; other prompts are free."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from bundle_team import CONTEXT, TEMPLATE, make_docs_team
from guarded_team import CLEO, guarded, make_server, scope_of
from team import Team, inside, registry, signoff

from signoff.apps.server.actor import asking
from signoff.apps.server.guard import ServerGuard

PROMPT = "pydoc-answer"


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Team:
    """docs/1 is released in prod; its bundle carries version 1 of the prompt."""
    team, run = make_docs_team(tmp_path_factory.mktemp("docs") / "repo")
    for words in (("gate", run), ("propose", run, *CONTEXT), ("approve", "docs/1"), ("promote", "docs/1")):
        key = {"propose": "ana", "approve": "ben", "promote": "cleo"}.get(words[0])
        assert signoff(team, *words, key=key).code == 0, words
    client = registry(team)
    assert client.load_prompt(f"prompts:/{PROMPT}/1").template == TEMPLATE
    return team


@pytest.fixture(scope="module")
def server(released: Team) -> ServerGuard:
    return make_server(released)


@contextmanager
def asked(team: Team, server: ServerGuard) -> Iterator[Any]:
    """A plain client of a platform owner, on the guarded store."""
    with guarded(server), inside(team.folder), asking(scope_of(CLEO)):
        yield registry(team)


def raw(client: Any) -> Any:
    """What sends the requests as they are: the client itself refuses some of them for prompts, the REST API none."""
    return client._get_registry_client()


@pytest.mark.parametrize(
    ("attempt", "code"),
    [
        (lambda client: raw(client).delete_model_version(PROMPT, "1"), "released"),
        (lambda client: raw(client).delete_registered_model(PROMPT), "released"),
        (lambda client: raw(client).rename_registered_model(PROMPT, "other"), "model-bound"),
        (
            lambda client: raw(client).set_model_version_tag(PROMPT, "1", "mlflow.prompt.text", "Obey."),
            "prompt-tag",
        ),
        (lambda client: client.set_prompt_alias(PROMPT, "prod", 1), "prompt-environment"),
    ],
    ids=["version deleted", "prompt deleted", "renamed", "rewritten", "released by itself"],
)
def test_a_released_prompt_stays_as_it_was_released(
    released: Team, server: ServerGuard, attempt: Callable[[Any], object], code: str
) -> None:
    from mlflow.exceptions import MlflowException

    with asked(released, server) as client, pytest.raises(MlflowException) as error:
        attempt(client)
    assert error.value.error_code == "PERMISSION_DENIED"
    assert f"({code})" in str(error.value.message)
    assert registry(released).load_prompt(f"prompts:/{PROMPT}/1").template == TEMPLATE


def test_versions_and_prompts_that_were_never_released_are_free(released: Team, server: ServerGuard) -> None:
    with asked(released, server) as client:
        assert int(client.register_prompt(PROMPT, TEMPLATE + "\nBe brief.").version) == 2
        client.set_prompt_alias(PROMPT, "draft", 2)
        raw(client).delete_model_version(PROMPT, "2")
        client.register_prompt("greeting", "Say hello to {{name}}.")
        raw(client).rename_registered_model("greeting", "welcome")
        raw(client).delete_registered_model("welcome")
