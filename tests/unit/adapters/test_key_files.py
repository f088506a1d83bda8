import subprocess
from pathlib import Path

import pytest

from signoff.adapters.key_files import generate_key, load_key
from signoff.errors import EvidenceError
from signoff.evidence import sshsig


def ssh_keygen(path: Path, *options: str) -> Path:
    command = ["ssh-keygen", "-q", "-f", str(path), "-C", "ana", *options]
    subprocess.run(command, check=True, capture_output=True)
    return path


def test_a_generated_key_is_one_that_openssh_reads(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "ana"
    made = generate_key(path, "ana (demo)")
    listed = subprocess.run(["ssh-keygen", "-y", "-f", str(path)], capture_output=True, check=True, text=True)
    assert sshsig.parse_public_key(listed.stdout) == made.public
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.with_name("ana.pub").read_text() == made.public_line + "\n"
    assert made.public_line.endswith(" ana (demo)")


def test_a_generated_key_signs_after_loading(tmp_path: Path) -> None:
    made = generate_key(tmp_path / "ana", "ana")
    signature = load_key(tmp_path / "ana").sign(b"message")
    assert signature.keyid == made.fingerprint
    sshsig.verify(made.public, signature.sig, b"message")


def test_an_existing_file_is_never_replaced(tmp_path: Path) -> None:
    generate_key(tmp_path / "ana", "ana")
    before = (tmp_path / "ana").read_bytes()
    with pytest.raises(EvidenceError, match="exists already"):
        generate_key(tmp_path / "ana", "ana")
    (tmp_path / "ana.pub").unlink()
    with pytest.raises(EvidenceError, match="exists already"):
        generate_key(tmp_path / "ana", "ana")
    assert (tmp_path / "ana").read_bytes() == before


def test_a_comment_cannot_start_a_new_line(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="one line"):
        generate_key(tmp_path / "ana", "ana\nssh-ed25519 AAAA")
    assert list(tmp_path.iterdir()) == []


def test_an_encrypted_key_asks_for_its_passphrase(tmp_path: Path) -> None:
    path = ssh_keygen(tmp_path / "ana", "-t", "ed25519", "-N", "open sesame", "-a", "1")
    asked: list[Path] = []

    def answer(asked_for: Path) -> str:
        asked.append(asked_for)
        return "open sesame"

    sshsig.verify(load_key(path, answer).public, load_key(path, answer).sign(b"m").sig, b"m")
    assert asked == [path, path]
    with pytest.raises(EvidenceError, match="wrong passphrase"):
        load_key(path, lambda _: "wrong")
    with pytest.raises(EvidenceError, match="nobody can be asked"):
        load_key(path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    generate_key(tmp_path / "ana", "ana")
    (tmp_path / "ana").chmod(mode)
    with pytest.raises(EvidenceError, match="other users can read") as caught:
        load_key(tmp_path / "ana")
    assert caught.value.hint == f"chmod 600 {tmp_path / 'ana'}"


@pytest.mark.parametrize(("kind", "bits"), [("rsa", "1024"), ("ecdsa", "256")])
def test_another_kind_of_key_is_refused(tmp_path: Path, kind: str, bits: str) -> None:
    path = ssh_keygen(tmp_path / "key", "-t", kind, "-b", bits, "-N", "")
    with pytest.raises(EvidenceError, match="only Ed25519") as caught:
        load_key(path)
    assert "ssh-keygen -t ed25519" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an OpenSSH private key"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n", "not an OpenSSH private key"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n", "cannot be read"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----" + b"A" * 100_000, "too long"),
    ],
)
def test_a_file_that_is_no_key_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(EvidenceError, match=message):
        load_key(path)


def test_a_key_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="no such key file"):
        load_key(tmp_path / "nowhere")
    with pytest.raises(EvidenceError, match="cannot be read"):
        load_key(tmp_path)


def test_key_material_never_shows(tmp_path: Path) -> None:
    key = generate_key(tmp_path / "ana", "ana")
    secret = key._private.private_bytes_raw()
    assert "private" not in repr(key).lower()
    assert secret.hex() not in repr(key)
    assert repr(secret) not in repr(key)
