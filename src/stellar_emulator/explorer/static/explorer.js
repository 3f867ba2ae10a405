// The page: sliders in, curves out. One request at a time, always for the newest labels.

import { Controls } from "./controls.js";
import { Plot } from "./plot.js";
import * as server from "./server.js";

const element = (id) => document.getElementById(id);

const model = await server.model();
const plot = new Plot(element("spectrum"), element("difference"), model);
const controls = new Controls(element("labels").tBodies[0], model.labels, changed, tell);

let uploaded = null;
let asking = false;
let stale = false;
let arrived = null;
let told = false;

function changed() {
  for (const suffix of ["csv", "fits"]) element(suffix).href = server.download(suffix, controls.values);
  stale = true;
  if (!asking) ask();
}

/** Asks for the newest labels' spectrum, one request at a time: those passed over meanwhile are never asked for. */
async function ask() {
  asking = true;
  while (stale) {
    stale = false;
    const labels = controls.values;
    try {
      const answer = await server.spectrum(labels, model.wavelength.count);
      arrive({ labels, ...answer });
      if (told || answer.warning) tell(answer.warning);
      told = Boolean(answer.warning);
    } catch (error) {
      // A curve of other labels than the sliders' would mislead.
      arrive({ labels, flux: null, inferred: null });
      told = true;
      tell(error.message);
    }
  }
  asking = false;
}

function arrive(answer) {
  if (!arrived) requestAnimationFrame(draw);
  arrived = answer;
}

/** Draws the newest answer, once a frame; no curve if there is no spectrum of the labels. */
function draw() {
  const { labels, flux, inferred } = arrived;
  arrived = null;
  plot.draw("generated", flux);
  controls.infer("generated", inferred);
  element("pin").disabled = !flux;
  element("spectrum").setAttribute("aria-label", `${flux ? "generated" : "no"} spectrum at ${described(labels)}`);
  if (!flux) return;
  // Counted by benchmarks/explorer.py; one mark is kept at a time.
  performance.clearMarks("drawn");
  performance.mark("drawn", { detail: labels });
}

function tell(message) {
  element("message").textContent = message;
}

function described(labels) {
  return model.labels.map(({ name, unit }) => `${name} ${labels[name]} ${unit}`.trim()).join(", ");
}

function pin() {
  plot.draw("pinned", plot.curves.generated);
  element("unpin").disabled = false;
  tell(`pinned: ${described(controls.values)}`);
}

function unpin() {
  plot.draw("pinned", null);
  element("unpin").disabled = true;
  element("pin").focus();
  tell("");
}

async function upload() {
  const [file] = element("file").files;
  if (!file) return;
  element("upload-error").textContent = "";
  show(null);
  tell(`inferring labels of ${file.name} ...`);
  try {
    show(await server.observed(file, new FormData(element("upload"))));
  } catch (error) {
    element("upload-error").textContent = error.message;
    element("reading").open = true;
  }
  tell("");
}

function show(found) {
  uploaded = found;
  plot.draw("uploaded", found && Float32Array.from(found.flux));
  controls.infer("uploaded", found);
  element("labels").classList.toggle("uploaded", Boolean(found));
  element("found").hidden = !found;
  if (!found) return;
  element("found-name").textContent =
    `${found.name}: radial velocity ${found.velocity.toFixed(1)} km/s, shown at rest and on the model's pixels`;
  element("found-warnings").replaceChildren(
    ...found.warnings.map((warning) => Object.assign(document.createElement("li"), { textContent: warning })),
  );
}

function look() {
  const centre = Number(element("view").value);
  if (centre) plot.show(centre - model.window, centre + model.window);
  else plot.show();
}

element("model").textContent =
  `${model.versions.emulator}, ${model.versions.validator}; contract ${model.contract}: ${model.description}`;
element("kinds").textContent = model.suffixes.join(" ");
element("view").append(
  new Option("the whole spectrum", ""),
  ...model.lines.map(({ name, wavelength }) => new Option(`${name}, ${wavelength.toFixed(1)}`, wavelength)),
);
element("view").addEventListener("change", look);
element("pin").addEventListener("click", pin);
element("unpin").addEventListener("click", unpin);
element("upload").addEventListener("change", upload);
element("upload").addEventListener("submit", (event) => event.preventDefault());
element("remove").addEventListener("click", () => {
  element("file").value = "";
  show(null);
  element("file").focus();
});
element("take").addEventListener("click", () => {
  controls.set(uploaded.labels);
  changed();
});
changed();
