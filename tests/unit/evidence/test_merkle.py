import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.errors import EvidenceError
from signoff.evidence.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    merkle_root,
    node_hash,
    verify_consistency,
    verify_inclusion,
)

# The reference vectors of Certificate Transparency (merkletree/merkle_tree_test.cc of google/certificate-transparency).
CT_LEAVES = [
    leaf_hash(bytes.fromhex(text))
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CT_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
CT_PATHS = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
CT_CONSISTENCY = {
    (1, 1): [],
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}

leaves = st.lists(st.binary(max_size=3).map(leaf_hash), min_size=1, max_size=40)


def hexes(proof: tuple[bytes, ...]) -> list[str]:
    return [node.hex() for node in proof]


def test_the_empty_log_has_the_hash_of_nothing() -> None:
    assert Frontier().root().hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_those_of_certificate_transparency(size: int) -> None:
    assert merkle_root(CT_LEAVES[:size]).hex() == CT_ROOTS[size - 1]


@pytest.mark.parametrize(("index", "size"), CT_PATHS)
def test_inclusion_proofs_are_those_of_certificate_transparency(index: int, size: int) -> None:
    assert hexes(inclusion_proof(CT_LEAVES[:size], index)) == CT_PATHS[index, size]


@pytest.mark.parametrize(("old", "new"), CT_CONSISTENCY)
def test_consistency_proofs_are_those_of_certificate_transparency(old: int, new: int) -> None:
    assert hexes(consistency_proof(CT_LEAVES[:new], old)) == CT_CONSISTENCY[old, new]


def recursive_root(entries: list[bytes]) -> bytes:
    """The definition of RFC 6962 §2.1, word for word."""
    if len(entries) == 1:
        return entries[0]
    split = 1
    while split * 2 < len(entries):
        split *= 2
    return node_hash(recursive_root(entries[:split]), recursive_root(entries[split:]))


@given(leaves)
def test_the_frontier_gives_the_root_of_the_definition(entries: list[bytes]) -> None:
    assert Frontier.of(entries).root() == recursive_root(entries)


@given(leaves)
def test_a_frontier_survives_storage(entries: list[bytes]) -> None:
    frontier = Frontier.of(entries)
    assert Frontier.from_bytes(frontier.to_bytes()) == frontier


@given(leaves, st.data())
def test_every_entry_can_be_proved_and_only_where_it_stands(
    entries: list[bytes], data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(entries) - 1))
    claimed = data.draw(st.integers(0, len(entries) - 1))
    proof, root = inclusion_proof(entries, index), merkle_root(entries)
    verified = verify_inclusion(leaf=entries[index], index=claimed, size=len(entries), proof=proof, root=root)
    assert verified == (claimed == index) or entries[claimed] == entries[index]


@given(leaves, st.data())
def test_a_changed_proof_proves_nothing(entries: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(entries) - 1))
    root, size = merkle_root(entries), len(entries)
    proof = list(inclusion_proof(entries, index))
    longer = [*proof, leaf_hash(b"more")]
    assert not verify_inclusion(leaf=leaf_hash(b"other"), index=index, size=size, proof=proof, root=root)
    assert not verify_inclusion(leaf=entries[index], index=index, size=size, proof=longer, root=root)
    if proof:
        assert not verify_inclusion(leaf=entries[index], index=index, size=size, proof=proof[:-1], root=root)


@given(leaves, st.data())
def test_every_older_log_is_a_proved_prefix(entries: list[bytes], data: st.DataObject) -> None:
    old = data.draw(st.integers(0, len(entries)))
    proof = consistency_proof(entries, old)
    assert verify_consistency(
        old_size=old,
        old_root=merkle_root(entries[:old]),
        new_size=len(entries),
        new_root=merkle_root(entries),
        proof=proof,
    )


@given(leaves, st.data())
def test_a_log_that_was_rewritten_is_not_proved_consistent(entries: list[bytes], data: st.DataObject) -> None:
    old = data.draw(st.integers(1, len(entries)))
    changed = data.draw(st.integers(0, old - 1))
    rewritten = [leaf_hash(b"forged") if i == changed else leaf for i, leaf in enumerate(entries)]
    for proof in (consistency_proof(entries, old), consistency_proof(rewritten, old)):
        assert not verify_consistency(
            old_size=old,
            old_root=merkle_root(entries[:old]),
            new_size=len(entries),
            new_root=merkle_root(rewritten),
            proof=proof,
        )


def test_no_proof_beyond_the_log() -> None:
    with pytest.raises(EvidenceError, match="no entry 8 in a log of 8"):
        inclusion_proof(CT_LEAVES, 8)
    with pytest.raises(EvidenceError, match="never had 9"):
        consistency_proof(CT_LEAVES, 9)
    assert not verify_inclusion(leaf=CT_LEAVES[0], index=1, size=1, proof=(), root=CT_LEAVES[0])
    assert not verify_consistency(old_size=2, old_root=EMPTY_ROOT, new_size=1, new_root=EMPTY_ROOT, proof=())


@pytest.mark.parametrize("data", [b"", b"\0" * 7, (1).to_bytes(8, "big"), (2).to_bytes(8, "big") + b"x" * 64])
def test_a_damaged_frontier_is_refused(data: bytes) -> None:
    with pytest.raises(EvidenceError):
        Frontier.from_bytes(data)
