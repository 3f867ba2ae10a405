"""Signatures of model folders, by the package model-signing (OpenSSF): the holder of the key vouches for every byte.

A private key named by ``STELLAR_EMULATOR_SIGNING_KEY`` signs each model that is saved. If
``STELLAR_EMULATOR_PUBLIC_KEY`` names a public key, models that its holder did not sign are refused at promotion,
loading and serving. Digests alone reveal accidental changes; anyone who can write to the registry can also write a
digest.
"""

import os
from pathlib import Path
from types import ModuleType

from stellar_emulator.errors import InputError, SetupError
from stellar_emulator.saved.own_files import PUBLIC_KEY, SIGNATURE, verify_signature

SIGNING_KEY = "STELLAR_EMULATOR_SIGNING_KEY"
"""Environment variable with the path of a PEM file, of an elliptic-curve key (P-256, P-384 or P-521)."""


def sign(folder: Path) -> None:
    """Sign a model's folder if a private key is named.

    Raises
    ------
    SetupError
        If model-signing is not installed, or the key can't be read or used.
    """
    key = os.environ.get(SIGNING_KEY)
    if not key:
        return
    signing = _package("signing")
    try:
        config = signing.Config().use_elliptic_key_signer(private_key=Path(key))
        config.sign(folder, folder / SIGNATURE)
    except Exception as error:  # Of cryptography's, many kinds: a wrong file, another kind of key, one with a password.
        raise SetupError(_unusable(SIGNING_KEY, key, error)) from error


def require_signed(folder: Path) -> None:
    """Refuse a model's folder that the holder of the public key did not sign, if such a key is named.

    Raises
    ------
    SetupError
        If model-signing is not installed, or the key can't be read.
    InputError
        If the folder has no signature or that of another key, or holds files that were not signed; the message names
        them.
    """
    key = os.environ.get(PUBLIC_KEY)
    if not key:
        return
    verifying = _package("verifying")
    try:
        verifying.Config().use_elliptic_key_verifier(public_key=Path(key))
    except Exception as error:
        raise SetupError(_unusable(PUBLIC_KEY, key, error)) from error
    signature = folder / SIGNATURE
    remedy = f"take a model that the holder of {key} signed, or unset {PUBLIC_KEY}"
    if not signature.is_file():
        raise InputError(f"{folder} is not signed, and {PUBLIC_KEY} asks for a signature: {remedy}")
    try:
        verify_signature(folder, key)
    except Exception as error:  # Of a forged signature: whatever its parser stumbles over.
        reason = " ".join(str(error).split()) or "it was made with another key"
        raise InputError(f"{folder} does not bear the signature of {key}: {reason}: {remedy}") from error


def _package(module: str) -> ModuleType:
    from importlib import import_module

    try:
        return import_module(f"model_signing.{module}")
    except ModuleNotFoundError as error:
        raise SetupError(
            f"{SIGNING_KEY} or {PUBLIC_KEY} is set, and the Python package {error.name} is missing: install "
            "stellar-emulator[signing], or unset them"
        ) from error


def _unusable(variable: str, key: str, error: Exception) -> str:
    reason = " ".join(str(error).split()) or type(error).__name__
    return f"{variable} names {key}, which is no usable elliptic-curve key in a PEM file: {reason}"
