// Charts of the last five minutes, a value a second, drawn as SVG.

export const SAMPLES = 300;

const HEAD = 14, FOOT = 16;
const exact = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

// A number as short as it may be: 12.5, 4,321, 1.23M.
export function short(number) {
  return (number < 100000 ? exact : compact).format(number);
}

export function full(number) {
  return exact.format(number);
}

function shape(name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// The least of 2, 4, 10, 20, 40, 100... that is not below the number; its half is whole.
function ceiling(number) {
  const power = 10 ** Math.floor(Math.log10(Math.max(number, 2)));
  return [2, 4, 10, 20].map((step) => step * power).find((step) => step >= number);
}

// A line and the area below it; the last value is at the right edge.
function curve(values, name, { width, top, bottom, most }) {
  const step = width / (SAMPLES - 1);
  const x = (index) => (width - (values.length - 1 - index) * step).toFixed(1);
  const y = (value) => (bottom - (value / most) * (bottom - top)).toFixed(1);
  const points = values.map((value, index) => `${x(index)} ${y(value)}`);
  if (points.length === 1) points.unshift(`${width - step} ${y(values[0])}`);
  if (points.length === 0) return [];
  const first = points[0].split(" ")[0];
  return [
    shape("path", { class: `area ${name}`, d: `M${first} ${bottom}L${points.join("L")}V${bottom}Z` }),
    shape("path", { class: `line ${name}`, d: `M${points.join("L")}` }),
  ];
}

// A small one without scale, for a row of a table.
export function spark(svg, values, name) {
  const width = svg.clientWidth || 120, height = svg.clientHeight || 28;
  const frame = { width, top: 2, bottom: height - 2, most: Math.max(1, ...values) };
  svg.replaceChildren(...curve(values, name, frame));
}

// A chart in a figure with a caption. `lines` name its lines: what they are called by CSS, and by
// people. Pointer and arrow keys choose a moment, whose values the legend then has.
export class Chart {
  constructor(figure, lines) {
    this.svg = figure.querySelector("svg");
    this.title = figure.querySelector("figcaption").firstChild.textContent;
    this.lines = lines.map(({ name, label }) => ({ name, label, values: [] }));
    this.ago = null;
    const legend = figure.querySelector(".legend");
    this.when = legend.appendChild(document.createElement("span"));
    for (const line of this.lines) {
      const entry = legend.appendChild(document.createElement("span"));
      entry.appendChild(document.createElement("i")).className = line.name;
      entry.append(line.label, " ");
      line.text = entry.appendChild(document.createElement("b"));
    }
    new ResizeObserver(() => this.draw()).observe(this.svg);
    this.svg.addEventListener("pointermove", (event) => {
      const place = event.offsetX / this.svg.clientWidth;
      this.choose(Math.round((1 - place) * (SAMPLES - 1)));
    });
    this.svg.addEventListener("pointerleave", () => this.choose(null));
    figure.addEventListener("blur", () => this.choose(null));
    figure.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: 1, ArrowRight: -1 }[event.key];
      if (event.key === "Escape") this.choose(null);
      if (step === undefined) return;
      event.preventDefault();
      this.choose((this.ago ?? 0) + step * (event.shiftKey ? 10 : 1));
    });
  }

  choose(ago) {
    this.ago = ago === null ? null : Math.min(Math.max(ago, 0), SAMPLES - 1);
    this.draw();
  }

  show(...values) {
    this.lines.forEach((line, index) => { line.values = values[index]; });
    this.draw();
  }

  draw() {
    const { svg, lines, ago } = this;
    const width = svg.clientWidth, height = svg.clientHeight;
    if (width === 0) return;
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const peak = Math.max(0, ...lines.flatMap((line) => line.values));
    const most = ceiling(peak);
    const frame = { width, top: HEAD, bottom: height - FOOT, most };
    const shapes = [0, most / 2, most].flatMap((value) => {
      const y = frame.bottom - (value / most) * (frame.bottom - frame.top);
      const grid = shape("line", { class: "grid", x1: 0, x2: width, y1: y, y2: y });
      return value === 0 ? [grid] : [grid, shape("text", { x: 0, y: y - 3 }, short(value))];
    });
    for (const line of lines) shapes.push(...curve(line.values, line.name, frame));
    for (const [minutes, place, anchor] of [[5, 0, "start"], [2.5, 0.5, "middle"]]) {
      const at = { x: width * place, y: height - 3, "text-anchor": anchor };
      shapes.push(shape("text", at, `${minutes} min ago`));
    }
    shapes.push(shape("text", { x: width, y: height - 3, "text-anchor": "end" }, "now"));
    if (ago !== null) {
      const x = Math.round(width * (1 - ago / (SAMPLES - 1)));
      shapes.push(shape("line", { class: "cursor", x1: x, x2: x, y1: frame.top, y2: frame.bottom }));
    }
    svg.replaceChildren(...shapes);
    const values = lines.map((line) => line.values.at(-1 - (ago ?? 0)));
    const texts = values.map((value) => (value === undefined ? "–" : short(value)));
    lines.forEach((line, index) => { line.text.textContent = texts[index]; });
    this.when.textContent = ago ? `${ago} s ago` : "";
    const described = lines.map((line, index) => `${line.label} ${texts[index]}`).join(", ");
    const when = ago ? `${ago} seconds ago` : "now";
    svg.setAttribute("aria-label", `${this.title}, ${when}: ${described}; most ${short(peak)}`);
  }
}
