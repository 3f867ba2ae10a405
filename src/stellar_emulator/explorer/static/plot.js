// The spectrum with its named lines, what it is compared with, and their difference below.

/* global uPlot */

/** By curve, in the order in which they are drawn. */
const COLOURS = { uploaded: "#0072b2", pinned: "#595959", generated: "#d55e00" };
const LINE_COLOURS = ["#000000", "#0072b2", "#595959"];
const ROW_HEIGHT = 15;
const HEIGHT = 430;
const DIFFERENCE_HEIGHT = 170;
const FONT = "12px system-ui, sans-serif";
const LEAST_DIFFERENCE = 0.01;

export class Plot {
  /** `model`: the server's description of contract and lines. */
  constructor(spectrum, difference, model) {
    const { pixels, count, unit, medium } = model.wavelength;
    this.spectrum = spectrum;
    this.difference = difference;
    this.pixels = Float64Array.from(pixels);
    this.curves = { uploaded: null, pinned: null, generated: new Float32Array(count) };
    const wavelength = `wavelength in ${medium} (${unit})`;
    const sync = { key: "wavelength" };
    this.upper = new uPlot(
      {
        ...this.size(HEIGHT),
        padding: [LINE_COLOURS.length * ROW_HEIGHT + 8, 12, 0, 0],
        cursor: { sync, drag: { x: true, y: false } },
        scales: { x: { time: false }, y: { range: [model.flux.lower, model.flux.upper] } },
        axes: [{ label: wavelength, font: FONT, labelFont: FONT, values: plain }, { label: "flux", font: FONT, labelFont: FONT }],
        series: [{ label: "wavelength", value: (_, x) => x?.toFixed(1) ?? "" }, ...Object.keys(COLOURS).map(curve)],
        hooks: { draw: [(plot) => drawLines(plot, model.lines)] },
      },
      this.data(),
      spectrum,
    );
    this.lower = new uPlot(
      {
        ...this.size(DIFFERENCE_HEIGHT),
        padding: [8, 12, 0, 0],
        legend: { show: false },
        cursor: { sync, drag: { x: true, y: false } },
        scales: { x: { time: false }, y: { range: (_, low, high) => around(low, high) } },
        axes: [{ font: FONT, values: plain }, { label: "generated − other", font: FONT, labelFont: FONT }],
        series: [{}, curve("uploaded"), curve("pinned")],
      },
      this.differences(),
      difference,
    );
    new ResizeObserver(() => this.resize()).observe(spectrum);
  }

  /** Draws a curve, "uploaded", "pinned" or "generated"; null removes it. */
  draw(name, flux) {
    this.curves[name] = flux;
    this.upper.setData(this.data(), false);
    this.upper.redraw(true);
    const others = this.curves.pinned || this.curves.uploaded;
    if (Boolean(others) === this.difference.hidden) {
      this.difference.hidden = !others;
      this.resize();
    }
    if (others) {
      this.lower.setData(this.differences(), false);
      this.lower.setScale("x", { min: this.upper.scales.x.min, max: this.upper.scales.x.max });
    }
  }

  /** Shows wavelengths from `min` to `max`; all of them where none are given. */
  show(min = this.pixels[0], max = this.pixels.at(-1)) {
    for (const plot of [this.upper, this.lower]) plot.setScale("x", { min, max });
  }

  data() {
    return [this.pixels, ...Object.keys(COLOURS).map((name) => this.curves[name] ?? [])];
  }

  differences() {
    const { generated } = this.curves;
    const less = (other) => (other && generated ? generated.map((flux, i) => flux - other[i]) : []);
    return [this.pixels, less(this.curves.uploaded), less(this.curves.pinned)];
  }

  size(height) {
    return { width: Math.max(300, this.spectrum.clientWidth), height };
  }

  resize() {
    this.upper.setSize(this.size(HEIGHT));
    this.lower.setSize(this.size(DIFFERENCE_HEIGHT));
  }
}

function curve(name) {
  return {
    label: name,
    stroke: COLOURS[name],
    width: name === "generated" ? 1.5 : 1,
    points: { show: false },
    value: (_, y) => y?.toFixed(4) ?? "",
  };
}

function around(low, high) {
  const widest = Math.max(LEAST_DIFFERENCE, Math.abs(low ?? 0), Math.abs(high ?? 0));
  return [-widest, widest];
}

/** A tick and, where there is room, a name for each line, in rows above the spectrum. */
function drawLines(plot, lines) {
  const { ctx, bbox } = plot;
  const ratio = uPlot.pxRatio;
  ctx.save();
  ctx.font = `${11 * ratio}px system-ui, sans-serif`;
  ctx.textAlign = "center";
  ctx.textBaseline = "bottom";
  const taken = [];
  for (const { name, wavelength, row } of lines) {
    const x = plot.valToPos(wavelength, "x", true);
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    const y = bbox.top - (LINE_COLOURS.length - 1 - row) * ROW_HEIGHT * ratio - 3 * ratio;
    ctx.fillStyle = ctx.strokeStyle = LINE_COLOURS[row];
    ctx.globalAlpha = 0.25;
    ctx.lineWidth = ratio;
    ctx.beginPath();
    ctx.moveTo(x, y);
    ctx.lineTo(x, bbox.top + (row ? 8 * ratio : bbox.height));
    ctx.stroke();
    ctx.globalAlpha = 1;
    const half = ctx.measureText(name).width / 2 + 2 * ratio;
    if (x - half < (taken[row] ?? 0)) continue;
    ctx.fillText(name, x, y);
    taken[row] = x + half;
  }
  ctx.restore();
}

/** Wavelengths without separators of thousands. */
function plain(_, wavelengths) {
  return wavelengths.map(String);
}
