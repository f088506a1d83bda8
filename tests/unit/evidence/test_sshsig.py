import struct
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from evidence_samples import ANA, BEN
from hypothesis import given
from hypothesis import strategies as st

from signoff.errors import EvidenceError
from signoff.evidence import sshsig

MESSAGE = b"the approved bytes"
BLOB = sshsig.sign(ANA.private, MESSAGE)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "id_ed25519"
    path.write_bytes(ANA.private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    path.chmod(0o600)
    path.with_name("id_ed25519.pub").write_text(ANA.public.line + "\n")
    return path


def test_ssh_keygen_verifies_our_signature(tmp_path: Path) -> None:
    (tmp_path / "sig").write_text(sshsig.armor(BLOB))
    (tmp_path / "allowed").write_text(f"ana@shop.example {ANA.public.line}\n")
    command = ["ssh-keygen", "-Y", "verify", "-n", "signoff", "-I", "ana@shop.example"]
    command += ["-f", str(tmp_path / "allowed"), "-s", str(tmp_path / "sig")]
    done = subprocess.run(command, input=MESSAGE, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    other = subprocess.run(command, input=MESSAGE + b".", capture_output=True, check=False)
    assert other.returncode != 0


def test_we_verify_the_signature_of_ssh_keygen(tmp_path: Path, key_file: Path) -> None:
    message = tmp_path / "message"
    message.write_bytes(MESSAGE)
    command = ["ssh-keygen", "-Y", "sign", "-n", "signoff", "-f", str(key_file), str(message)]
    subprocess.run(command, capture_output=True, check=True)
    blob = sshsig.dearmor((tmp_path / "message.sig").read_text())
    sshsig.verify(ANA.public, blob, MESSAGE)
    assert blob == BLOB  # Ed25519 is deterministic: byte for byte what OpenSSH writes


def test_a_signature_of_ssh_keygen_for_another_purpose_does_not_count(tmp_path: Path, key_file: Path) -> None:
    message = tmp_path / "message"
    message.write_bytes(MESSAGE)
    command = ["ssh-keygen", "-Y", "sign", "-n", "git", "-f", str(key_file), str(message)]
    subprocess.run(command, capture_output=True, check=True)
    with pytest.raises(EvidenceError, match="namespace b'git', not for 'signoff'"):
        sshsig.verify(ANA.public, sshsig.dearmor((tmp_path / "message.sig").read_text()), MESSAGE)


def test_the_fingerprint_is_that_of_ssh_keygen(key_file: Path) -> None:
    done = subprocess.run(
        ["ssh-keygen", "-l", "-f", str(key_file)], capture_output=True, check=True, text=True
    )
    assert done.stdout.split()[1] == ANA.public.fingerprint


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_a_signature_fits_one_message_only(one: bytes, two: bytes) -> None:
    blob = sshsig.sign(ANA.private, one)
    sshsig.verify(ANA.public, blob, one)
    if one != two:
        with pytest.raises(EvidenceError, match="does not fit these bytes"):
            sshsig.verify(ANA.public, blob, two)


@given(st.integers(0, len(BLOB) - 1), st.integers(1, 255))
def test_no_byte_of_a_signature_can_be_changed(position: int, flip: int) -> None:
    changed = bytearray(BLOB)
    changed[position] ^= flip
    with pytest.raises(EvidenceError):
        sshsig.verify(ANA.public, bytes(changed), MESSAGE)


@given(st.integers(0, len(BLOB) - 1))
def test_no_byte_of_a_signature_can_be_cut_off(length: int) -> None:
    with pytest.raises(EvidenceError):
        sshsig.verify(ANA.public, BLOB[:length], MESSAGE)


def test_nothing_can_be_added_to_a_signature() -> None:
    with pytest.raises(EvidenceError, match="bytes to spare"):
        sshsig.verify(ANA.public, BLOB + b"\0", MESSAGE)


def test_another_key_s_signature_does_not_count() -> None:
    with pytest.raises(EvidenceError, match=f"made by {BEN.public.fingerprint}".replace("+", r"\+")):
        sshsig.verify(ANA.public, sshsig.sign(BEN.private, MESSAGE), MESSAGE)


def wire(*parts: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


SIGNATURE = wire(b"ssh-ed25519", bytes(64))


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        (b"SSHSIG" + struct.pack(">I", 2), "version 1"),
        (b"SSHSIG" + struct.pack(">I", 1), "cut short"),
        (b"SSHSIG\0\0\0\1" + wire(ANA.public.blob, b"signoff", b"x", b"sha512", SIGNATURE), "reserved"),
        (
            b"SSHSIG\0\0\0\1" + wire(ANA.public.blob, b"signoff", b"", b"sha256", SIGNATURE),
            "hash is b'sha256'",
        ),
        (b"SSHSIG\0\0\0\1" + wire(b"rsa", b"signoff", b"", b"sha512", SIGNATURE), "public key"),
        (
            b"SSHSIG\0\0\0\1" + wire(ANA.public.blob, b"signoff", b"", b"sha512", wire(b"x", b"")),
            "not an ssh-ed25519",
        ),
        (b"SSHSIG\0\0\0\1" + b"\xff\xff\xff\xff", "cut short"),
    ],
)
def test_a_foreign_or_damaged_blob_is_refused(blob: bytes, message: str) -> None:
    with pytest.raises(EvidenceError, match=message):
        sshsig.verify(ANA.public, blob, MESSAGE)


def test_a_public_key_line_is_read_with_its_comment() -> None:
    key = sshsig.parse_public_key(ANA.public.line.replace("key 1", "ana at work") + "\n")
    assert key == ANA.public
    assert key.comment == "ana at work"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "one line"),
        ("ssh-ed25519", "one line"),
        (f"{ANA.public.line}\n{BEN.public.line}", "one line"),
        ("ssh-rsa AAAAB3NzaC1yc2E= old", "type 'ssh-rsa'"),
        ("ssh-ed25519 AAAA!", "not base64"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5", "cut short"),
        (f"restrict {ANA.public.line}", "type 'restrict'"),
    ],
)
def test_a_line_that_is_no_ed25519_key_is_refused(line: str, message: str) -> None:
    with pytest.raises(EvidenceError, match=message):
        sshsig.parse_public_key(line)


@pytest.mark.parametrize(
    "text", ["", "hello", sshsig.armor(BLOB)[:-5], sshsig.armor(BLOB).replace("U1NI", "U1*I")]
)
def test_text_that_is_no_armour_is_refused(text: str) -> None:
    with pytest.raises(EvidenceError):
        sshsig.dearmor(text)
