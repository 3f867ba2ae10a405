"""Finds the extra of the package that provides a Python package which a verb or method lacks."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, requires

from stellar_emulator.errors import SetupError

_PUBLISHED_AS = {
    "OpenSSL": "pyopenssl",
    "psycopg": "psycopg2-binary",
    "psycopg2": "psycopg2-binary",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
"""Names on the package index of modules that are published under another name, or of what stands in for them."""

_BESIDES = {"psycopg": "; and name that driver in the store's address, postgresql+psycopg2://..."}
"""What is to be done besides, where another package stands in."""


@contextmanager
def named_extras() -> Iterator[None]:
    """Turn the failed import of an optional package into a `SetupError` that names the extra."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("stellar_emulator"):
            raise
        raise missing(error.name) from error


def missing(module: str, extra: str | None = None) -> SetupError:
    """Make the error for a module that can't be imported; the message says what to install.

    extra: the extra to name; by default the smallest one that provides the module's package.
    """
    package = module.partition(".")[0]
    extra = extra or extra_of(package)
    bring = f"pip install 'stellar-emulator[{extra}]'" if extra else "install stellar-emulator again"
    return SetupError(
        f"the Python package {package} is missing in {sys.executable}: {bring} "
        f"(in a checkout: `python3 start.py setup`, and use the Python in its folder .venv){_BESIDES.get(package, '')}"
    )


def extra_of(package: str) -> str | None:
    """The smallest extra that requires a package, according to the installed metadata; None if none does."""
    try:
        lines = requires("stellar-emulator") or []
    except PackageNotFoundError:
        lines = []
    wanted = _canonical(_PUBLISHED_AS.get(package, package))
    asked: dict[str, set[str]] = {}
    for line in lines:
        if found := re.match(r"([A-Za-z0-9._-]+).*\bextra == ['\"]([\w-]+)['\"]", line):
            asked.setdefault(found[2], set()).add(_canonical(found[1]))
    return min((extra for extra in asked if wanted in asked[extra]), key=lambda extra: len(asked[extra]), default=None)


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
