"""Small package indexes on disk, for proofs that a set-up does not depend on what an index holds."""

import base64
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

LATER = "99999"
"""A version that every pinned one precedes."""


def write_wheel(
    folder: Path, name: str, version: str, requires: Sequence[str] = (), extras: Sequence[str] = ()
) -> tuple[Path, str]:
    """Write a wheel that holds nothing but its own metadata; return its path and SHA-256."""
    module = name.replace("-", "_")
    folder_inside = f"{module}-{version}.dist-info"
    metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    metadata += [f"Provides-Extra: {extra}" for extra in extras] + [f"Requires-Dist: {line}" for line in requires]
    files = {
        f"{folder_inside}/METADATA": "\n".join(metadata) + "\n",
        f"{folder_inside}/WHEEL": "Wheel-Version: 1.0\nGenerator: none\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [f"{path},sha256={_url_safe(text)},{len(text)}" for path, text in files.items()]
    files[f"{folder_inside}/RECORD"] = "\n".join([*record, f"{folder_inside}/RECORD,,", ""])
    path = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name_inside, text in files.items():
            wheel.writestr(name_inside, text)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def write_source(folder: Path, name: str, version: str, setup: str) -> tuple[Path, str]:
    """Write a source archive that holds a setup.py alone; return its path and SHA-256."""
    path = folder / f"{name}-{version}.tar.gz"
    top = f"{name}-{version}"
    files = {"setup.py": setup, "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"}
    with tarfile.open(path, "w:gz") as archive:
        for inside, text in files.items():
            entry = tarfile.TarInfo(f"{top}/{inside}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def write_later_releases(folder: Path, packages: Sequence[str]) -> None:
    """Write one release of each package that is later than any."""
    for package in packages:
        write_wheel(folder, package, LATER)


def _url_safe(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
