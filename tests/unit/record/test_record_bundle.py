import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.errors import ModelError
from signoff.record.bundle import (
    ROLES,
    bundle_of,
    component_digests,
    component_facts,
    parse_bundle,
    prompt_digest,
    render_bundle,
)
from signoff.record.digest import Digest, FileDigest

ENTRIES: dict[str, dict[str, Any]] = {
    "embedder": {"kind": "bm25", "name": "words", "version": "1"},
    "index": {"kind": "bm25", "name": "docs", "version": "1"},
    "retriever": {"kind": "bm25", "name": "bm25", "version": "1", "settings": {"k": 5}},
    "prompt": {"kind": "template", "name": "answer", "version": "3"},
    "generator": {"kind": "extractive", "name": "sentences", "version": "1"},
    "guardrails": {"kind": "limits", "name": "desk", "version": "1"},
}
FILES = tuple(
    FileDigest(path=path, size=3, digest=Digest.of(path.encode()))
    for path in ("MLmodel", "components/index/passages.jsonl", "components/prompt/template.txt")
)


def said(**changes: dict[str, Any]) -> dict[str, Any]:
    entries = {role: {**entry, **changes.get(role, {})} for role, entry in ENTRIES.items()}
    return {"format": 1, "components": entries}


def test_a_bundle_reads_back_as_it_was_written_with_every_default_filled_in() -> None:
    bundle = bundle_of(said())
    assert parse_bundle(render_bundle(bundle)) == bundle
    written = json.loads(render_bundle(bundle))["components"]
    assert written["guardrails"]["settings"]["max_query_bytes"] == 4000
    assert written["retriever"]["settings"] == {"k": 5, "min_score": 0.0}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"retriever": {"settings": {"k": 0}}}, "k"),
        ({"retriever": {"settings": {"kk": 5}}}, "kk"),
        ({"retriever": {"settings": {"k": "5"}}}, "retriever.settings.k"),
        ({"retriever": {"kind": "dense"}}, "must be of one kind"),
        ({"index": {"kind": "pickle"}}, "pickle"),
        ({"prompt": {"version": "latest"}}, "version"),
        ({"generator": {"code": "evil.py"}}, "code"),
        ({"generator": {"kind": "openai", "settings": {"model": "m", "key_env": "AWS_SECRET_ACCESS_KEY"}}}, "key_env"),
        ({"guardrails": {"settings": {"abstain_below": 2.0}}}, "abstain_below"),
    ],
)  # fmt: skip
def test_a_field_that_is_unknown_or_out_of_range_is_named(
    changes: dict[str, dict[str, Any]], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        parse_bundle(json.dumps(said(**changes)).encode())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"format": 2, "components": {}}',
        b'{"format": 1, "format": 1, "components": {}}',
        b'{"format": 1, "components": {}, "more": 1}',
        b"[" * 100_000,
        b" " * 1_000_001,
        json.dumps(said(guardrails={"settings": {"abstain_below": float("nan")}})).encode(),
    ],
    ids=["empty", "list", "not-utf8", "format", "twice", "more", "deep", "long", "nan"],
)
def test_anything_but_a_bundle_is_refused(data: bytes) -> None:
    with pytest.raises(ModelError):
        parse_bundle(data)


@pytest.mark.parametrize("role", ROLES)
def test_a_setting_changes_the_digest_of_its_component_alone(role: str) -> None:
    before = component_digests(render_bundle(bundle_of(said())), FILES)
    version = {"version": "7"}
    after = component_digests(render_bundle(bundle_of(said(**{role: version}))), FILES)
    assert [name for name in ROLES if before[name] != after[name]] == [role]


@given(st.sampled_from(ROLES), st.binary(max_size=20), st.text("abc/.", min_size=1, max_size=12))
def test_a_file_belongs_to_the_component_in_whose_folder_it_lies(
    role: str, content: bytes, name: str
) -> None:
    data = render_bundle(bundle_of(said()))
    added = FileDigest(path=f"components/{role}/{name}", size=len(content), digest=Digest.of(content))
    before, after = component_digests(data, FILES), component_digests(data, (*FILES, added))
    assert [known for known in ROLES if before[known] != after[known]] == [role]
    outside = FileDigest(path=f"{role}/{name}", size=len(content), digest=Digest.of(content))
    assert component_digests(data, (*FILES, outside)) == before


@given(st.text("abc {}\n\u00e4\u4e2d", max_size=20), st.integers(1, 99))
def test_a_prompts_digest_follows_from_the_registry_alone(text: str, version: int) -> None:
    data = render_bundle(bundle_of(said(prompt={"version": str(version)})))
    content = text.encode()
    file = FileDigest(path="components/prompt/template.txt", size=len(content), digest=Digest.of(content))
    assert prompt_digest("answer", version, text) == component_digests(data, (file,))["prompt"]
    assert prompt_digest("answer", version, text + "!") != prompt_digest("answer", version, text)
    assert prompt_digest("answer", 0, text) is None


def test_two_bundles_are_compared_by_name_version_setting_and_digest() -> None:
    first, second = (
        component_facts(render_bundle(bundle_of(said(retriever={"settings": {"k": k}}))), FILES)
        for k in (5, 8)
    )
    assert {name for name in first if first[name] != second[name]} == {"retriever", "retriever.k"}
    assert str(first["prompt"]).startswith("template answer@3 sha256:")
