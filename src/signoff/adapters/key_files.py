"""OpenSSH Ed25519 key files: the private keys with which people sign."""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_ssh_private_key,
)

from signoff.errors import EvidenceError
from signoff.evidence import sshsig
from signoff.evidence.dsse import Signature
from signoff.evidence.sshsig import PublicKey

Passphrase: TypeAlias = Callable[[Path], str]

_MAX_KEY_FILE_BYTES = 1 << 16
_FIRST_LINE = b"-----BEGIN OPENSSH PRIVATE KEY-----"
_PUBLIC = (b"ssh-", b"ecdsa-", b"sk-ssh-", b"sk-ecdsa-")
"""How the line of a public key begins."""
_TYPE_HINT = "make one with: ssh-keygen -t ed25519, or signoff admin keys new PATH"


@dataclass(frozen=True, kw_only=True, slots=True)
class SigningKey:
    """A private key in memory; its material never shows in a repr, a message or a log.

    Attributes:
        public: the public half.
    """

    public: PublicKey
    _private: Ed25519PrivateKey = field(repr=False, compare=False)

    @property
    def fingerprint(self) -> str:
        """``SHA256:…`` as ``ssh-keygen -l`` prints it."""
        return self.public.fingerprint

    @property
    def public_line(self) -> str:
        """The public key as it stands in a roster."""
        return self.public.line

    def sign(self, message: bytes) -> Signature:
        """Sign these bytes for this project's namespace."""
        return Signature(keyid=self.fingerprint, sig=sshsig.sign(self._private, message))


def load_key(path: Path, passphrase: Passphrase | None = None) -> SigningKey:
    """Load a private key.

    Args:
        path: an OpenSSH private key file, ``~`` allowed.
        passphrase: asked for the passphrase, with the path, when the file is encrypted.

    Raises:
        EvidenceError: no such file, open to other users, another kind of key, or a wrong passphrase.
    """
    path = path.expanduser()
    data = _read_private(path)
    private = _decode(data, path, passphrase)
    return SigningKey(public=PublicKey.of(private), _private=private)


def generate_key(path: Path, comment: str) -> SigningKey:
    """Make a new key without passphrase: the private file with mode 0600, and ``.pub`` beside it.

    Args:
        path: the private file; its folder is made when missing.
        comment: one line that says whose it is; stands in the ``.pub`` file.

    Raises:
        EvidenceError: one of the files exists already or cannot be written.
    """
    path = path.expanduser()
    if not comment.isprintable():
        raise EvidenceError("a key's comment is one line of printable text")
    private = Ed25519PrivateKey.generate()
    public = PublicKey.of(private, comment.strip())
    public_path = path.with_name(path.name + ".pub")
    if public_path.exists():
        raise EvidenceError("this file exists already; it is not replaced", where=str(public_path))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_new(path, private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()), 0o600)
        _write_new(public_path, f"{public.line}\n".encode(), 0o644)
    except FileExistsError as error:
        raise EvidenceError(
            "this file exists already; it is not replaced", where=str(error.filename)
        ) from error
    except OSError as error:
        raise EvidenceError(f"the key cannot be written: {error.strerror}", where=str(path)) from error
    return SigningKey(public=public, _private=private)


def _read_private(path: Path) -> bytes:
    """A private key file's bytes, when no other user can read them; mode and bytes come from the same open file."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_MAX_KEY_FILE_BYTES + 1)
    except FileNotFoundError as error:
        raise EvidenceError("no such key file", where=str(path), hint=_TYPE_HINT) from error
    except OSError as error:
        raise EvidenceError(f"the key file cannot be read: {error.strerror}", where=str(path)) from error
    if data.startswith(_PUBLIC):
        raise EvidenceError(
            "this is a public key; signing takes the private one",
            where=str(path),
            hint="it is usually the file of the same name without .pub",
        )
    if len(data) > _MAX_KEY_FILE_BYTES:
        raise EvidenceError("this file is too long for a private key", where=str(path))
    if not data.lstrip().startswith(_FIRST_LINE):
        raise EvidenceError("this is not an OpenSSH private key", where=str(path), hint=_TYPE_HINT)
    if stat.S_IMODE(mode) & 0o077:
        raise EvidenceError(
            f"other users can read this private key (mode {stat.S_IMODE(mode):04o})",
            where=str(path),
            hint=f"chmod 600 {path}",
        )
    return data


def _decode(data: bytes, path: Path, passphrase: Passphrase | None) -> Ed25519PrivateKey:
    # The library's own messages are not passed on: nothing near key material reaches a terminal or a log.
    private: object
    try:
        private = load_ssh_private_key(data, password=None)
    except TypeError:  # the file is encrypted
        private = _decode_encrypted(data, path, passphrase)
    except (ValueError, UnsupportedAlgorithm):
        raise EvidenceError("this key cannot be read", where=str(path), hint=_TYPE_HINT) from None
    if not isinstance(private, Ed25519PrivateKey):
        raise EvidenceError("only Ed25519 keys count; this is another type", where=str(path), hint=_TYPE_HINT)
    return private


def _decode_encrypted(data: bytes, path: Path, passphrase: Passphrase | None) -> object:
    if passphrase is None:
        raise EvidenceError(
            "this key is encrypted, and without a terminal nobody can be asked for the passphrase",
            where=str(path),
            hint="run the command in a terminal, or use a key of its own for unattended work",
        )
    try:
        return load_ssh_private_key(data, password=passphrase(path).encode())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise EvidenceError("wrong passphrase, or the key is damaged", where=str(path)) from None


def _write_new(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
