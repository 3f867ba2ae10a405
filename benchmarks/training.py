"""Training steps against the machine's matrix-product rate, for the networks of two presets on both backends."""

import argparse

from benchmarks.machine import Row, every_product_rate, isolated, spread, table

ROWS = 8192

_STEP = """
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
# As in training: the autoencoder of pixels reads its grid from disk.
streamed = preset.basis is None and model.name == "autoencoder"
compile_for(model, settings, len(x) // settings.batch_size, streamed)
def epoch():
    model.fit(x, y, batch_size=settings.batch_size, epochs=1, verbose=0)
epoch()
weights = sum(int(np.prod(w.shape)) for w in model.trainable_weights if len(w.shape) == 2)
rates = []
for _ in range(5):
    start = time.perf_counter()
    epoch()
    rates.append(6 * weights * len(x) / (time.perf_counter() - start) / 1e9)
print(*rates)
"""

NETWORKS = {"paper": ("autoencoder", "label network", "validator"), "default": ("chain", "validator")}
"""The paper's by its tables; of default those that take its time."""

BAR = ">= 50 %, the better backend"
BARRED = {("paper", "autoencoder"), ("paper", "validator")}


def main() -> None:
    """Print the table: a training step counts 6 x weights x rows operations."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    print(table("Training", measured()))


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


if __name__ == "__main__":
    main()
