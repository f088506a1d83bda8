"""OpenSSH signatures with Ed25519 keys, as ``ssh-keygen -Y sign`` makes them.

The format is PROTOCOL.sshsig of OpenSSH (https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.sshsig).
Namespace and hash algorithm are fixed: a signature made for another purpose never counts here.
"""

import base64
import binascii
import hashlib
import struct
import textwrap
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from signoff.errors import EvidenceError

NAMESPACE = "signoff"
HASH_ALGORITHM = "sha512"
KEY_TYPE = "ssh-ed25519"

_MAGIC = b"SSHSIG"
_VERSION = 1
_KEY_BYTES = 32
_SIGNATURE_BYTES = 64
_ARMOR_FIRST = "-----BEGIN SSH SIGNATURE-----"
_ARMOR_LAST = "-----END SSH SIGNATURE-----"
_ARMOR_WIDTH = 70
_KEY_HINT = "make one with: ssh-keygen -t ed25519"


@dataclass(frozen=True, kw_only=True, slots=True)
class PublicKey:
    """An Ed25519 public key: 32 bytes, and the comment that stood beside it (which takes no part in equality)."""

    raw: bytes
    comment: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if len(self.raw) != _KEY_BYTES:
            raise EvidenceError(f"an Ed25519 public key has {_KEY_BYTES} bytes, not {len(self.raw)}")

    @property
    def blob(self) -> bytes:
        """The key in SSH wire format."""
        return _string(KEY_TYPE.encode()) + _string(self.raw)

    @property
    def fingerprint(self) -> str:
        """``SHA256:…`` as ``ssh-keygen -l`` prints it."""
        digest = hashlib.sha256(self.blob).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    @property
    def line(self) -> str:
        """The key as a line of a ``.pub`` file."""
        return f"{KEY_TYPE} {base64.b64encode(self.blob).decode()} {self.comment}".rstrip()

    @classmethod
    def of(cls, private: Ed25519PrivateKey, comment: str = "") -> "PublicKey":
        """The public half of a private key."""
        return cls(raw=private.public_key().public_bytes_raw(), comment=comment)


def parse_public_key(line: str) -> PublicKey:
    """Read ``ssh-ed25519 AAAA… comment``.

    Raises:
        EvidenceError: the line has another form, or the key is of another type.
    """
    parts = line.split(maxsplit=2)
    if len(parts) < 2 or "\n" in line.strip():
        raise EvidenceError("a public key is one line: ssh-ed25519 AAAA… comment", hint=_KEY_HINT)
    if parts[0] != KEY_TYPE:
        raise EvidenceError(f"a key of type {parts[0]!r}; only {KEY_TYPE} counts", hint=_KEY_HINT)
    try:
        blob = base64.b64decode(parts[1], validate=True)
    except (binascii.Error, ValueError) as error:
        raise EvidenceError(
            f"the key is not base64: {error}", hint="copy the .pub file's line whole"
        ) from error
    return PublicKey(raw=_read_key(blob), comment=parts[2].strip() if len(parts) > 2 else "")


def sign(private: Ed25519PrivateKey, message: bytes) -> bytes:
    """An SSHSIG blob over the message."""
    signature = private.sign(_signed_data(message))
    return b"".join(
        (
            _MAGIC,
            struct.pack(">I", _VERSION),
            _string(PublicKey.of(private).blob),
            _string(NAMESPACE.encode()),
            _string(b""),
            _string(HASH_ALGORITHM.encode()),
            _string(_string(KEY_TYPE.encode()) + _string(signature)),
        )
    )


def verify(public: PublicKey, blob: bytes, message: bytes) -> None:
    """Check that this key signed this message for this project.

    Raises:
        EvidenceError: the blob is malformed, made by another key or for another purpose, or does not verify.
    """
    key, signature = _parse(blob)
    if key != public:
        raise EvidenceError(f"the signature was made by {key.fingerprint}, not by {public.fingerprint}")
    try:
        Ed25519PublicKey.from_public_bytes(public.raw).verify(signature, _signed_data(message))
    except InvalidSignature as error:
        raise EvidenceError(f"the signature of {public.fingerprint} does not fit these bytes") from error


def armor(blob: bytes) -> str:
    """The blob as the text that ``ssh-keygen -Y verify`` reads."""
    lines = textwrap.wrap(base64.b64encode(blob).decode(), _ARMOR_WIDTH)
    return "\n".join((_ARMOR_FIRST, *lines, _ARMOR_LAST)) + "\n"


def dearmor(text: str) -> bytes:
    """The blob in a ``.sig`` file.

    Raises:
        EvidenceError: the text is not an armoured SSH signature.
    """
    lines = text.strip().splitlines()
    if len(lines) < 3 or lines[0] != _ARMOR_FIRST or lines[-1] != _ARMOR_LAST:
        raise EvidenceError("this text is not an armoured SSH signature")
    try:
        return base64.b64decode("".join(lines[1:-1]), validate=True)
    except (binascii.Error, ValueError) as error:
        raise EvidenceError(f"this armoured SSH signature is not base64: {error}") from error


def _signed_data(message: bytes) -> bytes:
    return b"".join(
        (
            _MAGIC,
            _string(NAMESPACE.encode()),
            _string(b""),
            _string(HASH_ALGORITHM.encode()),
            _string(hashlib.sha512(message).digest()),
        )
    )


def _parse(blob: bytes) -> tuple[PublicKey, bytes]:
    """Key and raw 64-byte signature of a blob whose every field is as this project writes it."""
    header = len(_MAGIC) + 4
    if blob[:header] != _MAGIC + struct.pack(">I", _VERSION):
        raise EvidenceError(f"not an SSH signature of version {_VERSION}")
    public, namespace, reserved, algorithm, signature = _strings(blob[header:], 5, "SSH signature")
    if namespace != NAMESPACE.encode():
        raise EvidenceError(f"the signature is for namespace {namespace!r}, not for {NAMESPACE!r}")
    if reserved:
        raise EvidenceError("the signature's reserved field is not empty")
    if algorithm != HASH_ALGORITHM.encode():
        raise EvidenceError(f"the signature's hash is {algorithm!r}; wanted {HASH_ALGORITHM!r}")
    kind, raw = _strings(signature, 2, "signature field")
    if kind != KEY_TYPE.encode() or len(raw) != _SIGNATURE_BYTES:
        raise EvidenceError(f"not an {KEY_TYPE} signature of {_SIGNATURE_BYTES} bytes")
    return PublicKey(raw=_read_key(public)), raw


def _read_key(blob: bytes) -> bytes:
    kind, raw = _strings(blob, 2, "public key")
    if kind != KEY_TYPE.encode() or len(raw) != _KEY_BYTES:
        raise EvidenceError(f"not an {KEY_TYPE} public key of {_KEY_BYTES} bytes", hint=_KEY_HINT)
    return raw


def _string(data: bytes) -> bytes:
    """SSH wire string (RFC 4251 §5): length as big-endian uint32, then the bytes."""
    return struct.pack(">I", len(data)) + data


def _strings(data: bytes, count: int, what: str) -> list[bytes]:
    """Exactly so many wire strings, with nothing after them."""
    found: list[bytes] = []
    offset = 0
    while offset < len(data) and len(found) < count:
        body = offset + 4
        if body > len(data):
            break
        end = body + int.from_bytes(data[offset:body], "big")
        if end > len(data):
            break
        found.append(data[body:end])
        offset = end
    if len(found) != count or offset != len(data):
        raise EvidenceError(f"this {what} is cut short or has bytes to spare")
    return found
