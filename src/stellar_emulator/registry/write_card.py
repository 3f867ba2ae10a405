"""Writes the model card of a pair beside its files, into its run, and in short form onto its pages in the registry."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.evaluation import citation
from stellar_emulator.evaluation.evaluation import Evaluation
from stellar_emulator.evaluation.model_card import ALONE, NAME, Facts, model_card, short_card
from stellar_emulator.grid.split import PARTS, SplitRows
from stellar_emulator.grid.store import Grid
from stellar_emulator.registry import register, tracking
from stellar_emulator.system.files import write_file
from stellar_emulator.version import VERSION


def facts(
    grid: Grid,
    hashes: NDArray[np.str_],
    split: SplitRows,
    metadata: Mapping[str, Mapping[str, Any]],
    pair: Iterable[register.Registered],
) -> Facts:
    """Content of a card of a registered pair; ``hashes``: those of each row's run, shape (rows,)."""
    return Facts(
        models={registered.uri: registered.digest for registered in pair},
        spectra={part: len(split[part]) for part in PARTS},
        runs={part: len(np.unique(hashes[split[part]])) for part in PARTS},
        provenance=grid.provenance,
        metadata=metadata,
        versions={"package": VERSION, **tracking.provenance()},
        works=citation.works(),
    )


def write_card(
    run: tracking.TrackedRun,
    contract: Contract,
    stated: Facts,
    evaluation: Evaluation,
    figures: Iterable[str],
    pair: Iterable[register.Registered],
    output: Path,
) -> None:
    """Write ``model_card.md`` to ``output``, log it to a run, and describe both registered versions in short.

    The run also keeps the card without figures, for shipping the pair.
    """
    path = output / NAME
    write_file(path, model_card(contract, stated, evaluation.accuracy, evaluation.flux_error, figures))
    run.log_file(path)
    run.log_text(model_card(contract, stated, evaluation.accuracy, evaluation.flux_error, ()), ALONE)
    for registered in pair:
        register.describe(registered, short_card(contract, evaluation.accuracy, evaluation.flux_error))
