// What the page asks the server that it came from; refusals become errors with the server's own words.

export async function model() {
  return (await answered(fetch("model"))).json();
}

/** Flux of labels, one number a pixel, the labels with their errors that the validator infers from it, a warning. */
export async function spectrum(labels, pixels) {
  const response = await answered(fetch(`spectrum?${query(labels)}`));
  const content = await response.arrayBuffer();
  const numbers = new Float32Array(content);
  const inferred = numbers.subarray(pixels);
  const half = inferred.length / 2;
  return {
    flux: numbers.subarray(0, pixels),
    inferred: { labels: [...inferred.subarray(0, half)], errors: [...inferred.subarray(half)] },
    warning: decodeURIComponent(response.headers.get("x-warning") ?? ""),
  };
}

/** What the validator infers from a file; fields left empty are not sent: the file says. */
export async function observed(file, fields) {
  const given = [...fields].filter(([name, value]) => value !== "" && typeof value === "string");
  const asked = new URLSearchParams([...given, ["name", file.name]]);
  return (await answered(fetch(`observed?${asked}`, { method: "POST", body: file }))).json();
}

export function download(suffix, labels) {
  return `spectrum.${suffix}?${query(labels)}`;
}

function query(labels) {
  return new URLSearchParams(Object.entries(labels));
}

async function answered(request) {
  let response;
  try {
    response = await request;
  } catch {
    throw new Error("the server does not answer: is stellar-emulator explore still running?");
  }
  if (response.ok) return response;
  const told = await response.json().catch(() => ({}));
  throw new Error(told.message ?? `the server failed (status ${response.status}): see its terminal`);
}
