"""Models signed and verified with real keys."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from keys import key_files

from stellar_emulator import Emulator
from stellar_emulator.contract.contract import read_contract
from stellar_emulator.errors import InputError, SetupError
from stellar_emulator.networks.dense import linear_map
from stellar_emulator.networks.inference import EmulatorNetwork
from stellar_emulator.saved.bundle import save_emulator
from stellar_emulator.saved.own_files import PUBLIC_KEY, SIGNATURE
from stellar_emulator.saved.signing import SIGNING_KEY, require_signed, sign

_PEM, _PLAIN = serialization.Encoding.PEM, serialization.NoEncryption()


@pytest.fixture
def signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two files, signed; the public key is named, the private one no longer."""
    private, public = key_files(tmp_path, "team")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.json").write_text("{}")
    (folder / "model.onnx").write_bytes(bytes(range(256)))
    monkeypatch.setenv(SIGNING_KEY, private)
    sign(folder)
    monkeypatch.delenv(SIGNING_KEY)
    monkeypatch.setenv(PUBLIC_KEY, public)
    return folder


def test_a_signed_folder_passes_wherever_it_is_copied(
    signed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_signed(signed)
    monkeypatch.chdir(signed.parent)
    require_signed(Path("model"))
    require_signed(Path("model/../model"))
    shutil.copytree(signed, tmp_path / "elsewhere" / "emulator")
    require_signed(tmp_path / "elsewhere" / "emulator")


@pytest.mark.parametrize("file", ["model.json", "model.onnx"])
def test_a_changed_byte_is_named(signed: Path, file: str) -> None:
    content = bytearray((signed / file).read_bytes())
    content[-1] ^= 1
    (signed / file).write_bytes(content)
    with pytest.raises(InputError, match=f"does not bear the signature of .*team.pub: .*{file}"):
        require_signed(signed)


def test_a_file_more_or_less_is_named(signed: Path) -> None:
    (signed / "extra.py").write_text("import os")
    with pytest.raises(InputError, match=r"extra\.py"):
        require_signed(signed)
    (signed / "extra.py").unlink()
    (signed / "model.onnx").unlink()
    with pytest.raises(InputError, match=r"model\.onnx"):
        require_signed(signed)


def test_another_key_s_signature_is_refused(signed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PUBLIC_KEY, key_files(tmp_path, "other")[1])
    with pytest.raises(InputError, match=r"does not bear the signature of .*other\.pub"):
        require_signed(signed)


@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"mediaType": 1}', b"\xff\xfe"])
def test_a_missing_or_forged_signature_is_refused(signed: Path, content: bytes | None) -> None:
    (signed / SIGNATURE).unlink()
    if content is not None:
        (signed / SIGNATURE).write_bytes(content)
    with pytest.raises(InputError, match="not signed" if content is None else "does not bear the signature"):
        require_signed(signed)


def test_without_keys_nothing_is_signed_and_nothing_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SIGNING_KEY, raising=False)
    monkeypatch.delenv(PUBLIC_KEY, raising=False)
    (tmp_path / "model.json").write_text("{}")
    sign(tmp_path)
    require_signed(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.json"]


def test_keys_that_are_none_are_named(signed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rsa_key = tmp_path / "rsa.pem"
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    rsa_key.write_bytes(private.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, _PLAIN))
    for path in (tmp_path / "nowhere.pem", signed / "model.json", rsa_key):
        monkeypatch.setenv(SIGNING_KEY, str(path))
        with pytest.raises(SetupError, match=f"{SIGNING_KEY} names {path}, which is no usable"):
            sign(signed)
        monkeypatch.setenv(PUBLIC_KEY, str(path))
        with pytest.raises((SetupError, InputError), match=path.name):
            require_signed(signed)


def test_models_are_signed_as_they_are_saved_and_asked_as_they_are_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = read_contract(Path(__file__).parents[1] / "data" / "tiny_contract.yaml")
    network = EmulatorNetwork(linear_map(np.zeros((3, contract.wavelength.count)), np.ones(contract.wavelength.count)))
    private, public = key_files(tmp_path, "team")
    save_emulator(tmp_path / "unsigned", network, contract, {})
    monkeypatch.setenv(SIGNING_KEY, private)
    save_emulator(tmp_path / "signed", network, contract, {})
    assert Emulator.load(tmp_path / "unsigned").digest == Emulator.load(tmp_path / "signed").digest
    monkeypatch.setenv(PUBLIC_KEY, public)
    Emulator.load(tmp_path / "signed")
    with pytest.raises(
        InputError, match="unsigned is not signed, and STELLAR_EMULATOR_PUBLIC_KEY asks for a signature"
    ):
        Emulator.load(tmp_path / "unsigned")
