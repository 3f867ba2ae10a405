"""Pairs of keys, as a team makes them with openssl."""

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

_PEM, _PLAIN = serialization.Encoding.PEM, serialization.NoEncryption()


def key_files(folder: Path, name: str) -> tuple[str, str]:
    """Paths of a new private key and of its public one."""
    private = ec.generate_private_key(ec.SECP256R1())
    paths = folder / f"{name}.pem", folder / f"{name}.pub"
    paths[0].write_bytes(private.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, _PLAIN))
    public = private.public_key()
    paths[1].write_bytes(public.public_bytes(_PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    return str(paths[0]), str(paths[1])
