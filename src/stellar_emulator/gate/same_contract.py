"""Whether a contract is the champion's: one with other regions or looser limits is not, whatever its models' names."""

from typing import Any

from stellar_emulator.contract.contract import Contract

TOLD = {"name", "description", "digest", "source", "gate", "expectations", "expectations_digest", "split", "embedded"}
"""Fields that a decision doesn't rest on, or whose parts are compared one by one."""

LARGER_IS_STRICTER = {
    "runs",
    "spectra",
    "judges",
    "resamples",
    "confidence",
    "skill",
    "determined_share",
    "determined_signal_to_noise",
    "lines",
    "coarse",
}
"""Limits that ask for more where they are larger; all others ask for less, and `region_skill` lets more bins count
where it is smaller."""


def departures(ours: Contract, champions: Contract) -> list[str]:
    """Fields by which a contract asks less than, or something else than, the champion's; empty for the same contract.

    What is only told (description, symbols of labels) may differ, and limits may be stricter.
    """
    first, second = (contract.model_dump(mode="json", exclude=TOLD) for contract in (ours, champions))
    for content in (first, second):
        for label in content["labels"]:
            label.pop("symbol")
    found = [name for name in sorted({*first, *second}) if first.get(name) != second.get(name)]
    found += [f"gate.{name} ({value})" for name, value in _looser(_limits(ours), _limits(champions)).items()]
    if ours.gate and champions.gate and ours.gate.grid != champions.gate.grid:
        found.append("gate.grid")
    if champions.gate and not ours.gate:
        found.append("gate (left out)")
    missing = [name for name, limit in champions.expectations if limit and not getattr(ours.expectations, name)]
    return found + [f"expectations.{name} (left out)" for name in missing]


def _limits(contract: Contract) -> dict[str, float]:
    """The gate's limits by dotted name."""
    return _flat("", contract.gate.model_dump()) if contract.gate else {}


def _flat(prefix: str, content: dict[str, Any]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, value in content.items():
        if isinstance(value, dict):
            found |= _flat(f"{prefix}{name}.", value)
        elif isinstance(value, int | float):
            found[prefix + name] = float(value)
    return found


def _looser(ours: dict[str, float], champions: dict[str, float]) -> dict[str, str]:
    found = {}
    for name, value in ours.items():
        known = champions.get(name)
        if known is None or name in ("strict_ratio", "smooth_ratio"):
            continue
        larger = bool(LARGER_IS_STRICTER & set(name.split(".")[:1] + name.split(".")[-1:]))
        if (value < known) if larger else (value > known):
            found[name] = f"{value:g}, the champion's contract has {known:g}"
    return found
