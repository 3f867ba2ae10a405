// A slider and a number field for each label; neither lets a value outside the contract's bounds in.

/** Builds a row for each label; `changed` is called after every change, `tell` with what a user should know. */
export class Controls {
  constructor(body, labels, changed, tell) {
    this.rows = labels.map((label) => new Row(label, changed, tell));
    body.replaceChildren(...this.rows.map((row) => row.element));
  }

  /** Values by label name. */
  get values() {
    return Object.fromEntries(this.rows.map((row) => [row.label.name, row.value]));
  }

  /** Sets values, in the labels' order. */
  set(values) {
    this.rows.forEach((row, i) => row.show(row.inside(values[i])));
  }

  /** Fills a column of inferred labels, "generated" or "uploaded". */
  infer(column, estimate) {
    this.rows.forEach((row, i) => {
      row[column].textContent = estimate ? rounded(estimate.labels[i], estimate.errors[i]) : "";
    });
  }
}

class Row {
  constructor(label, changed, tell) {
    this.label = label;
    this.unit = label.unit ? ` ${label.unit}` : "";
    this.bounds = `${label.lower} to ${label.upper}${this.unit}`;
    this.digits = Math.max(0, -Math.round(Math.log10(label.step)));
    const title = label.name + (label.unit ? ` (${label.unit})` : "");
    this.slider = this.input("range", `${title}, slider`);
    this.number = this.input("number", `${title}, ${this.bounds}`);
    this.generated = cell();
    this.uploaded = cell();
    this.uploaded.className = "of-upload";
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = title;
    const inputs = cell(this.slider, " ", this.number);
    this.element = document.createElement("tr");
    this.element.append(head, inputs, this.generated, this.uploaded);
    this.show(label.start);

    this.slider.addEventListener("input", () => {
      this.show(this.slider.valueAsNumber);
      tell("");
      changed();
    });
    this.number.addEventListener("input", () => {
      const typed = this.number.valueAsNumber;
      // On the way to a number of four digits there is one of a single digit: it waits for the end of typing.
      if (typed !== this.inside(typed)) return;
      this.value = typed;
      this.slide();
      changed();
    });
    this.number.addEventListener("change", () => {
      const typed = this.number.valueAsNumber;
      if (Number.isNaN(typed)) {
        tell(`${label.name}: give a number, ${this.bounds}; it stays ${this.value}`);
      } else if (typed !== this.inside(typed)) {
        tell(`${label.name} = ${typed} lies outside ${this.bounds}: set to ${this.inside(typed)}`);
      } else {
        tell("");
      }
      this.show(Number.isNaN(typed) ? this.value : this.inside(typed));
      changed();
    });
  }

  input(type, name) {
    const { lower, upper, step } = this.label;
    const input = Object.assign(document.createElement("input"), { type, min: lower, max: upper, step });
    input.setAttribute("aria-label", name);
    input.id = `${this.label.name}-${type}`;
    return input;
  }

  inside(value) {
    return Math.min(Math.max(value, this.label.lower), this.label.upper);
  }

  show(value) {
    this.value = Number(value.toFixed(this.digits + 2));
    this.number.value = this.value;
    this.slide();
  }

  slide() {
    this.slider.value = this.value;
    this.slider.setAttribute("aria-valuetext", `${this.value}${this.unit}`);
  }
}

function cell(...content) {
  const made = document.createElement("td");
  made.append(...content);
  return made;
}

/** A value and its error, in as many digits as the error has two; nothing where there is none. */
function rounded(value, error) {
  if (Number.isNaN(value)) return "";
  const digits = error > 0 ? Math.max(0, 1 - Math.floor(Math.log10(error))) : 2;
  return `${value.toFixed(digits)} ± ${error.toFixed(digits)}`;
}
