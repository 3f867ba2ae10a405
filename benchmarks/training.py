"""Training steps against the machine's matrix-product rate: the paper's networks on both of Keras's backends, those of
`default` by Muon's own steps, and where an epoch of the latter goes."""

import argparse

from benchmarks.machine import Row, every_product_rate, isolated, spread, table

ROWS = 8192

_MODEL = """
import time, numpy as np, keras
from stellar_emulator.contract.contract import read_contract
from stellar_emulator.networks import layers
from stellar_emulator.networks.preset import read_preset
from stellar_emulator.training.fit_by_muon import ArrayBatches, MuonTraining
from stellar_emulator.training.fit_network import compile_for
preset = read_preset({preset!r})
contract = read_contract("gaia_rvs")
labels = len(contract.run_labels if preset.family == "exact" else contract.labels)
pixels, parts = preset.basis or contract.wavelength.count, preset.validator.components
heads = 1 if preset.validator.one_network_per_label else len(contract.labels)
encoder, decoder = layers.build_encoder(pixels, preset.autoencoder), layers.build_decoder(pixels, preset.autoencoder)
first = layers.build_label_network(labels, preset.autoencoder.latent, preset.label_network)
model, settings = {{
    "autoencoder": (layers.chain([encoder, decoder], "autoencoder"), preset.autoencoder.training),
    "label network": (first, preset.label_network.training),
    "chain": (layers.chain([first, decoder], "chain"), preset.fine_tuning),
    "validator": (layers.build_validator(parts, heads, preset.validator), preset.validator.training),
}}[{network!r}]
random = np.random.default_rng(1)
x, y = (random.random(({rows}, shape[1]), np.float32) for shape in (model.input_shape, model.output_shape))
weights = sum(int(np.prod(w.shape)) for w in model.trainable_weights if len(w.shape) == 2)
batches = ArrayBatches(x, y, settings.batch_size, 1)
by_muon = settings.optimizer == "muon"
state = MuonTraining(model, settings.loss, settings.batch_size, settings.beta_2) if by_muon else None
def epoch():
    if not by_muon:
        model.fit(x, y, batch_size=settings.batch_size, epochs=1, verbose=0)
        return
    with state.at_work() as pool:
        state.epoch(batches, lambda step: 1e-6, pool)
def seconds(call):
    call()
    times = []
    for _ in range(5):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return times
"""

_STEP = (
    _MODEL
    + """
# As in training: the autoencoder of pixels reads its grid from disk.
streamed = preset.basis is None and model.name == "autoencoder"
if not by_muon:
    compile_for(model, settings, len(x) // settings.batch_size, streamed)
print(*(6 * weights * len(x) / spent / 1e9 for spent in seconds(epoch)))
"""
)

_PARTS = (
    _MODEL
    + """
import tempfile, pathlib
def gathered():
    for number in range(batches.num_batches):
        batches[number]
def learned():
    with state.at_work() as pool:
        for number in range(batches.num_batches):
            state.learn(*batches[number], pool)
def judged():
    with state.at_work() as pool:
        state.error(batches, pool)
path = pathlib.Path(tempfile.mkdtemp()) / "state.npz"
calls = gathered, judged, learned, epoch, lambda: state.save(path)
medians = [sorted(seconds(call))[2] for call in calls]
print(*medians, 2 * weights * len(x) / 1e9, settings.batch_size)
"""
)

NETWORKS = {"paper": ("autoencoder", "label network", "validator"), "default": ("chain", "validator")}
"""The paper's by its tables; of default those that take its time."""

BAR = ">= 50 %, the better backend"
BARRED = {("paper", "autoencoder"), ("paper", "validator")}


def main() -> None:
    """Print the table: a training step counts 6 x weights x rows operations."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    print(table("Training", measured()))
    columns = ("network, rows of a step", "rows", "forward", "backward", "step", "state to disk", "all but the step at")
    print(table("Seconds of an epoch of 8,192 examples", parts(), columns))


def measured() -> list[Row]:
    """Rates of products and of training loops, in GFLOP/s and as shares of the best product."""
    products = every_product_rate()
    limit = max(max(rates) for rates in products.values())
    rows = [(f"4096^3 product, {name} (GFLOP/s)", spread(rates, 0), "") for name, rates in products.items()]
    for preset, networks in NETWORKS.items():
        for network in networks:
            for backend in _backends(preset):
                code = _STEP.format(preset=preset, network=network, rows=ROWS)
                chosen = {} if backend == "numpy" else {"KERAS_BACKEND": backend}
                rates = [float(rate) for rate in isolated(code, chosen).split()]
                share = f"{sorted(rates)[len(rates) // 2] / limit:.0%} of the best product"
                bar = BAR if (preset, network) in BARRED else ""
                name = f"`{preset}` {network}, training loop, {backend} (GFLOP/s)"
                rows.append((name, f"{spread(rates, 0)}, {share}", bar))
    return rows


def _backends(preset: str) -> tuple[str, ...]:
    """What fits a network: Keras's backends, or what Muon's own steps run on."""
    return ("numpy",) if preset == "default" else ("tensorflow", "jax")


def parts() -> list[tuple[str, ...]]:
    """What an epoch's time by Muon consists of: each part is what it takes more than the one before it."""
    rows = []
    for network in NETWORKS["default"]:
        said = isolated(_PARTS.format(preset="default", network=network, rows=ROWS)).split()
        gathered, judged, learned, whole, kept, operations, batch = map(float, said)
        spent = (gathered, judged - gathered, learned - judged, whole - learned, kept)
        rate = f"{3.0 * operations / learned:.0f} GFLOP/s"
        rows.append((f"{network}, {batch:.0f}", *(f"{part:.3f}" for part in spent), rate))
    return rows


if __name__ == "__main__":
    main()
