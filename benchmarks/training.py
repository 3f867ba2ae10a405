"""Training steps against the machine's matrix-product rate, for the paper's networks on both backends."""

import argparse

from benchmarks.machine import isolated, product_rates, table

ROWS, BATCH = 8192, 512

_STEP = """
import time, numpy as np, keras
from stellar_emulator.networks import layers
from stellar_emulator.networks.preset import read_preset
preset = read_preset("paper")
if {network!r} == "autoencoder":
    halves = layers.build_encoder(4000, preset.autoencoder), layers.build_decoder(4000, preset.autoencoder)
    model = layers.chain(halves, "autoencoder")
    inputs, outputs = 4000, 4000
else:
    model = layers.build_validator(preset.validator.components, 1, preset.validator)
    inputs, outputs = preset.validator.components, 1
random = np.random.default_rng(1)
x, y = random.random(({rows}, inputs), np.float32), random.random(({rows}, outputs), np.float32)
model.compile(optimizer="adam" if outputs > 1 else "adamax", loss="mean_squared_error")
model.fit(x, y, batch_size={batch}, epochs=1, verbose=0)
times = []
for _ in range(5):
    start = time.perf_counter()
    model.fit(x, y, batch_size={batch}, epochs=1, verbose=0)
    times.append(time.perf_counter() - start)
weights = sum(int(np.prod(w.shape)) for w in model.trainable_weights if len(w.shape) == 2)
print(6 * weights * {rows} / sorted(times)[2] / 1e9)
"""


def main() -> None:
    """Print the table: a training step counts 6 x weights x rows operations."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    rates = product_rates()
    limit = max(rates.values())
    rows = [(f"4096^3 product, {name}", f"{rate:.0f} GFLOP/s", "the best one is 100 %") for name, rate in rates.items()]
    for network in ("autoencoder", "validator"):
        shares = {}
        for backend in ("tensorflow", "jax"):
            code = _STEP.format(network=network, rows=ROWS, batch=BATCH)
            shares[backend] = float(isolated(code, {"KERAS_BACKEND": backend}))
            share = f"{shares[backend]:.0f} GFLOP/s, {shares[backend] / limit:.0%}"
            rows.append((f"`paper` {network}, training loop, {backend}", share, ">= 50 %, the better backend"))
    print(table("Training", rows))


if __name__ == "__main__":
    main()
