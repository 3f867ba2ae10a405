"""Training steps against the machine's matrix-product rate, for the networks of two presets on both backends, and where
an epoch's time goes for those of `default`."""

import argparse

from benchmarks.machine import Row, every_product_rate, isolated, spread, table

ROWS = 8192

_MODEL = """
import time, numpy as np, keras
from stellar_emulator.contract.contract import read_contract
from stellar_emulator.networks import layers
from stellar_emulator.networks.preset import read_preset
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
def epoch():
    model.fit(x, y, batch_size=settings.batch_size, epochs=1, verbose=0)
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
compile_for(model, settings, len(x) // settings.batch_size, streamed)
print(*(6 * weights * len(x) / spent / 1e9 for spent in seconds(epoch)))
"""
)

_PARTS = (
    _MODEL
    + """
import tempfile, pathlib
fast = {{"jit_compile": True, "steps_per_execution": 16}}
model.compile(optimizer=keras.optimizers.SGD(1e-9), loss="mean_squared_error", **fast)
forward = seconds(lambda: model.evaluate(x, y, batch_size=settings.batch_size, verbose=0))
backward = seconds(epoch)
compile_for(model, settings, 10**6, False)
whole = seconds(epoch)
path = pathlib.Path(tempfile.mkdtemp()) / "one.weights.h5"
kept = seconds(lambda: model.save_weights(path))
medians = [sorted(times)[2] for times in (forward, backward, whole, kept)]
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
    columns = ("network, rows at once", "forward", "backward", "optimiser", "state to disk", "forward and backward at")
    print(table("Seconds of an epoch of 8,192 examples", parts(), columns))


def measured() -> list[Row]:
    """Rates of products and of training loops, in GFLOP/s and as shares of the best product."""
    products = every_product_rate()
    limit = max(max(rates) for rates in products.values())
    rows = [(f"4096^3 product, {name} (GFLOP/s)", spread(rates, 0), "") for name, rates in products.items()]
    for preset, networks in NETWORKS.items():
        for network in networks:
            for backend in ("tensorflow", "jax"):
                code = _STEP.format(preset=preset, network=network, rows=ROWS)
                rates = [float(rate) for rate in isolated(code, {"KERAS_BACKEND": backend}).split()]
                share = f"{sorted(rates)[len(rates) // 2] / limit:.0%} of the best product"
                bar = BAR if (preset, network) in BARRED else ""
                name = f"`{preset}` {network}, training loop, {backend} (GFLOP/s)"
                rows.append((name, f"{spread(rates, 0)}, {share}", bar))
    return rows


def parts() -> list[tuple[str, ...]]:
    """What an epoch's time consists of, on TensorFlow: each part is what it takes more than the one before it."""
    rows = []
    for network in NETWORKS["default"]:
        code = _PARTS.format(preset="default", network=network, rows=ROWS)
        said = isolated(code, {"KERAS_BACKEND": "tensorflow"}).split()
        forward, backward, whole, kept, operations, batch = map(float, said)
        spent = (forward, backward - forward, whole - backward, kept)
        rate = f"{3.0 * operations / backward:.0f} GFLOP/s"
        rows.append((f"{network}, {batch:.0f}", *(f"{part:.3f}" for part in spent), rate))
    return rows


if __name__ == "__main__":
    main()
