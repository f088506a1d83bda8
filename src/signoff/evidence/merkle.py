"""The Merkle tree of RFC 6962 §2.1: one root for a whole log, short proofs about its entries and its growth."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from signoff.errors import EvidenceError

EMPTY_ROOT = hashlib.sha256(b"").digest()
_HASH_BYTES = 32
_SIZE_BYTES = 8


def leaf_hash(entry: bytes) -> bytes:
    """Hash of a leaf: SHA-256 over 0x00 and the entry."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node: SHA-256 over 0x01 and both children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Frontier:
    """All that is needed to append and to name the root: the roots of the full subtrees, largest first.

    Attributes:
        size: leaves so far.
        peaks: one 32-byte hash for each bit that is set in ``size``.
    """

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.peaks) != self.size.bit_count():
            raise EvidenceError(f"a tree of {self.size} leaves does not have {len(self.peaks)} full subtrees")

    @classmethod
    def of(cls, leaves: Iterable[bytes]) -> "Frontier":
        """The frontier after these leaf hashes."""
        frontier = cls()
        for leaf in leaves:
            frontier = frontier.append(leaf)
        return frontier

    def append(self, leaf: bytes) -> "Frontier":
        """The frontier with one more leaf hash: as many node hashes as there are trailing ones in ``size``."""
        peaks = list(self.peaks)
        merged, size = leaf, self.size
        while size & 1:
            merged = node_hash(peaks.pop(), merged)
            size >>= 1
        return Frontier(size=self.size + 1, peaks=(*peaks, merged))

    def root(self) -> bytes:
        """The root hash; of an empty tree the hash of nothing."""
        if not self.peaks:
            return EMPTY_ROOT
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root

    def to_bytes(self) -> bytes:
        """Size as eight big-endian bytes, then the peaks."""
        return self.size.to_bytes(_SIZE_BYTES, "big") + b"".join(self.peaks)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Frontier":
        """Read what ``to_bytes`` wrote.

        Raises:
            EvidenceError: the length does not fit the size.
        """
        size = int.from_bytes(data[:_SIZE_BYTES], "big")
        if len(data) != _SIZE_BYTES + _HASH_BYTES * size.bit_count():
            raise EvidenceError("a stored frontier of the log has the wrong length")
        starts = range(_SIZE_BYTES, len(data), _HASH_BYTES)
        return cls(size=size, peaks=tuple(data[start : start + _HASH_BYTES] for start in starts))


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Root over these leaf hashes."""
    return Frontier.of(leaves).root()


def inclusion_proof(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The audit path of a leaf (RFC 6962 §2.1.1), from the leaf upwards.

    Args:
        leaves: all leaf hashes of the tree.
        index: 0-based position of the leaf.

    Raises:
        EvidenceError: there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise EvidenceError(f"no entry {index} in a log of {len(leaves)}")
    path: list[bytes] = []
    low, high = 0, len(leaves)
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(merkle_root(leaves[middle:high]))
            high = middle
        else:
            path.append(merkle_root(leaves[low:middle]))
            low = middle
    return tuple(reversed(path))


def verify_inclusion(*, leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the leaf hash stands at that index of the tree with that size and root (RFC 9162 §2.1.3.2)."""
    if not 0 <= index < size:
        return False
    position, last, result = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if position & 1 or position == last:
            result = node_hash(sibling, result)
            while position and not position & 1:
                position >>= 1
                last >>= 1
        else:
            result = node_hash(result, sibling)
        position >>= 1
        last >>= 1
    return last == 0 and result == root


def consistency_proof(leaves: Sequence[bytes], old_size: int) -> tuple[bytes, ...]:
    """Proof that the tree of the first ``old_size`` leaf hashes is a prefix of this one (RFC 6962 §2.1.2).

    Raises:
        EvidenceError: the old tree is larger than this one.
    """
    if not 0 <= old_size <= len(leaves):
        raise EvidenceError(f"a log of {len(leaves)} entries never had {old_size}")
    if old_size in {0, len(leaves)}:
        return ()
    path: list[bytes] = []
    low, high, whole = 0, len(leaves), True
    while old_size != high:
        middle = low + _split(high - low)
        if old_size <= middle:
            path.append(merkle_root(leaves[middle:high]))
            high = middle
        else:
            path.append(merkle_root(leaves[low:middle]))
            low, whole = middle, False
    if not whole:
        path.append(merkle_root(leaves[low:high]))
    return tuple(reversed(path))


def verify_consistency(
    *, old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether the new tree continues the old one unchanged (RFC 9162 §2.1.4.2)."""
    if not 0 <= old_size <= new_size:
        return False
    if old_size == 0:
        return not proof and old_root == EMPTY_ROOT
    if old_size == new_size:
        return not proof and old_root == new_root
    # An old tree that is one full subtree of the new one is its own first node.
    path = [old_root, *proof] if old_size & (old_size - 1) == 0 else list(proof)
    if not path:
        return False
    position, last = old_size - 1, new_size - 1
    while position & 1:
        position >>= 1
        last >>= 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while position and not position & 1:
                position >>= 1
                last >>= 1
        else:
            new = node_hash(new, sibling)
        position >>= 1
        last >>= 1
    return last == 0 and old == old_root and new == new_root


def _split(size: int) -> int:
    """The largest power of two below ``size``, for a size of two or more."""
    return 1 << ((size - 1).bit_length() - 1)
