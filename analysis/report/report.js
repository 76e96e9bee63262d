// Draws the figures of the page, lets readers toggle, zoom and choose, and makes tables sortable.
// Names in the data are hostile: they only ever become text (textContent, canvas), never HTML.
"use strict";

const DATA = JSON.parse(document.getElementById("data").textContent);
const WIDTH = 1.7; // of lines
const PARTS = // of latency, in their order
  ["#999999", "#CCCCCC", "#E69F00", "#D55E00", "#CC79A7", "#56B4E9", "#0072B2", "#009E73", "#666666"];
const PRINT_WIDTH = 335; // two figures side by side on A4

// What the reader has chosen, for all figures: a value of each factor, and which lines are hidden.
const chosen = { at: DATA.groups.length ? DATA.groups[0].at.slice() : [], hidden: new Set(), printing: false };
const charts = [];

function make(tag, properties, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

// Numbers as text

function digits(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e9 || size < 1e-4) return value.toExponential(1).replace(".0e", "e");
  return value.toLocaleString("en", { maximumSignificantDigits: 3 });
}

function seconds(value) {
  const size = Math.abs(value);
  if (size === 0 || size >= 0.9995) return `${digits(value)} s`;
  return size >= 0.9995e-3 ? `${digits(value * 1e3)} ms` : `${digits(value * 1e6)} µs`;
}

function percent(share) {
  return `${digits(100 * share)} %`;
}

function withUnit(unit) {
  if (unit === "s") return seconds;
  return unit ? (value) => `${digits(value)} ${unit}` : digits;
}

function timeUnit(longest) {
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 0]];
  const [name, length] = units.find(([, length]) => longest > 3 * length) || ["s", 0];
  return { name, length: length || 1 };
}

// Lines

const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const colourOf = (line) => (line.colour === "#000000" ? ink("--ink") : line.colour);

// One table of several lines over all their x. fill: what a line has between its own points, of these and its y.
function join(lines, fill) {
  if (!lines.length) return [[]];
  const table = uPlot.join(lines.map(([x, y]) => [x, y]));
  return [table[0], ...table.slice(1).map(fill)];
}

// Shares of values greater than x, which stay until the next x.
function held(above) {
  let last = 1;
  return above.map((share) => (last = share ?? last));
}

function distribution(key, tail) {
  return () => {
    const runs = here().filter((run) => run[key][0].length);
    const [x, ...above] = join(runs.map((run) => run[key]), held);
    const values = tail
      ? above.map((shares) => shares.map((_, i) => (i ? shares[i - 1] : 1) || null)) // those >= x
      : above.map((shares) => shares.map((share) => 1 - share));
    return { x, lines: runs.map((run, i) => ({ ...run, y: values[i] })), step: tail ? -1 : 1 };
  };
}

// Values by interval: at the middles of the intervals, which all runs of a group share.
function overTime(edges, valuesOf) {
  return (choice) => {
    const runs = here();
    const longest = runs.reduce((most, run) => (run[edges].length > most.length ? run[edges] : most), []);
    const unit = timeUnit(longest.at(-1) ?? 0);
    const tables = runs.map((run) => {
      const middles = run[edges].slice(1).map((edge, i) => (edge + run[edges][i]) / 2 / unit.length);
      return [middles, valuesOf(run, choice)];
    });
    const [x, ...values] = join(tables, (y) => y);
    const lines = runs.map((run, i) => ({ ...run, y: values[i] }));
    const xText = (value) => `${digits(value)} ${unit.name}`;
    return { x, lines, xLabel: `Time [${unit.name}]`, xText, tickText: digits, gaps: true };
  };
}

function here() {
  const group = DATA.groups.find((group) => group.at.every((value, i) => value === chosen.at[i]));
  return group ? group.runs.map((run) => ({ ...DATA.lines[run.line], ...run })) : [];
}

// A metric at every value of one factor, the others as chosen, with intervals.
function overFactor(choice) {
  const { factors, measures, lines: looks, points } = DATA;
  const measure = measures[choice.metric];
  const factor = factors[choice.factor];
  const numbers = factor.values.every((value) => typeof value === "number");
  const x = numbers ? factor.values : factor.values.map((_, i) => i);
  const name = (value) => (numbers ? digits(value) : factor.values[value] ?? "");
  const near = points.filter((point) => point.at.every((value, i) => i === choice.factor || value === chosen.at[i]));
  const lines = looks.map((look, policy) => {
    const found = factor.values.map((_, i) => near.find((p) => p.line === policy && p.at[choice.factor] === i));
    const column = (part) => found.map((point) => point?.measures[choice.metric]?.[part] ?? null);
    const isSteady = found.map((point) => !point?.unsteady);
    return { ...look, y: column(0), low: column(1), high: column(2), isSteady };
  });
  return {
    x, lines: lines.filter((line) => line.y.some((value) => value !== null)),
    xLabel: factor.name, isText: !numbers, xAxis: { splits: () => x, filter: (_, splits) => splits },
    tickText: name, xText: (value) => `${factor.name} ${name(value)}`,
    yLabel: measure.unit ? `${measure.label} [${measure.unit}]` : measure.label, yText: withUnit(measure.unit),
    marks: true,
  };
}

// Figures: read gives what is drawn, from the choices in the figure's own controls.

const SCALE = (axis, first) => ({ key: `${axis}Log`, label: axis, options: ["linear", "log"], first });

function figures() {
  const list = [];
  const { factors, measures } = DATA;
  if (factors.length && measures.length) {
    list.push({
      id: "factors", title: "Metric against factor", read: overFactor,
      note: "Means over seeds, bands of 95 % intervals. Hollow: work piled up, and the value depends on how long it did.",
      controls: [
        { key: "metric", label: "metric", options: measures.map((m) => m.label), first: 0 },
        { key: "factor", label: "factor", options: factors.map((f) => f.name), first: 0 },
        SCALE("x", 0), SCALE("y", 0),
      ],
    });
  }
  if (!DATA.groups.length) return list;
  if (DATA.groups.some((group) => group.runs.some((run) => run.parts))) {
    list.push({
      id: "parts", title: "Where latency comes from", kind: Bars, note: "Means over completed invocations.",
      controls: [{ key: "scale", label: "", options: ["seconds", "shares"], first: 0 }],
    });
  }
  return [...list,
    {
      id: "cdf", title: "Latency", note: "Share of the completed invocations that took at most so long.",
      xLabel: "Latency", yLabel: "Share of invocations", xText: seconds, yText: percent, yMax: 1,
      controls: [SCALE("x", 1)], read: distribution("latency", false),
    },
    {
      id: "ccdf", title: "Tail of latency", note: "So many took so long or longer: 1 % at the 99th percentile.",
      xLabel: "Latency", yLabel: "Slower invocations", xText: seconds, yText: percent,
      controls: [SCALE("x", 1), SCALE("y", 1)], read: distribution("latency", true),
    },
    {
      id: "time", title: "Latency over time", note: "Of what arrived in each interval, and completed.",
      yLabel: "Latency", yText: seconds,
      controls: [{ key: "quantile", label: "", options: ["median", "p99"], first: 1 }, SCALE("y", 1)],
      read: overTime("edges", (run, choice) => [run.p50, run.p99][choice.quantile]),
    },
    {
      id: "queue", title: "Queue length", yLabel: "Waiting invocations", yText: digits,
      note: "All that have arrived and not started on a GPU; means of the intervals.",
      controls: [SCALE("y", 0)], read: overTime("edges", (run) => run.queue),
    },
    {
      id: "gpu", title: "GPU use over time", yLabel: "Share of GPU time", yText: percent, yMax: 1,
      note: "Occupied: in kernels, copies, dispatch or the start of a worker.",
      controls: [{ key: "part", label: "", options: ["occupied", ...DATA.parts], first: 0 }],
      read: overTime("gpuEdges", (run, choice) =>
        choice.part ? run.gpu[choice.part - 1] : run.gpu[0].map((_, i) => run.gpu.reduce((sum, y) => sum + y[i], 0))),
    },
    {
      id: "slowdown", title: "Slowdown of functions", xLabel: "Mean latency / isolated latency",
      yLabel: "Share of functions", xText: digits, yText: percent, yMax: 1,
      note: "Share of the functions that were slowed down at most so much.",
      controls: [SCALE("x", 1)], read: distribution("slowdown", false),
    },
  ];
}

// One figure: its controls, its plot, and what is under the pointer.

class Chart {
  constructor(figure) {
    this.figure = figure;
    this.choice = Object.fromEntries(figure.controls.map((control) => [control.key, control.first]));
    this.plot = null;
    this.area = make("div", { className: "plot" });
    this.readout = make("div", { className: "read" });
    const bar = make("div", { className: "bar" }, ...figure.controls.map((control) => this.control(control)));
    if (figure.read) {
      const reset = make("button", { type: "button", className: "tool", textContent: "reset zoom" });
      reset.addEventListener("click", () => this.draw());
      bar.append(reset);
    }
    this.node = make("figure", { id: `figure-${figure.id}` }, make("h3", { textContent: figure.title }), bar, this.area,
      this.readout, make("figcaption", { textContent: figure.note }));
    new ResizeObserver(() => this.resize()).observe(this.area);
  }

  control({ key, label, options, first }) {
    const select = make("select", { name: key, ariaLabel: `${this.figure.title}: ${label || key}` });
    select.append(...options.map((text, i) => make("option", { value: i, textContent: text, selected: i === first })));
    select.addEventListener("change", () => {
      this.choice[key] = select.selectedIndex;
      this.draw();
    });
    return make("label", {}, label ? `${label} ` : "", select);
  }

  size() {
    const width = chosen.printing ? PRINT_WIDTH : this.area.clientWidth;
    return { width, height: Math.round(Math.max(230, Math.min(320, 0.56 * width))) };
  }

  resize() {
    if (this.plot && this.size().width && this.size().width !== this.plot.width) this.plot.setSize(this.size());
  }

  draw() {
    this.plot?.destroy();
    this.plot = null;
    this.readout.replaceChildren();
    const shown = { ...this.figure, ...this.figure.read(this.choice) };
    if (!shown.lines.some((line) => line.y.some((value) => value !== null))) {
      this.area.replaceChildren(make("p", { className: "empty", textContent: "Nothing to draw here." }));
      return;
    }
    this.area.replaceChildren();
    const xLog = Boolean(this.choice.xLog) && !shown.isText;
    const yLog = Boolean(this.choice.yLog);
    const { table, series, bands } = columns(shown, xLog, yLog);
    const options = {
      ...this.size(), series, bands, legend: { show: false }, padding: [8, 26, 0, 0],
      cursor: { drag: { x: true, y: true, uni: 15 }, points: { size: 6 } },
      scales: {
        x: { time: false, distr: xLog ? 3 : 1, range: (_, low, high) => spread(low, high, xLog, shown.marks) },
        y: { distr: yLog ? 3 : 1, range: (_, low, high) => upwards(low, high, yLog, shown.yMax) },
      },
      axes: [
        { ...axis(shown.xLabel, 34), ...ticks(shown.tickText || shown.xText, xLog, 70), ...shown.xAxis },
        { ...axis(shown.yLabel, 62), ...ticks(shown.yText, yLog, 30) },
      ],
      hooks: { setCursor: [(plot) => this.read(plot, shown)] },
    };
    this.plot = new uPlot(options, table, this.area);
    this.plot.root.setAttribute("role", "img");
    this.plot.root.setAttribute("aria-label", `${shown.yLabel}, ${shown.lines.length} lines; numbers are in the tables`);
  }

  read(plot, shown) {
    const index = plot.cursor.idx;
    if (index === null || index === undefined || plot.cursor.left < 0) return this.readout.replaceChildren();
    const each = plot.series.slice(1).flatMap((series, i) => {
      const value = plot.data[i + 1][index];
      if (!series.line || !series.show || value === null || value === undefined) return [];
      const band = series.line.low ? [plot.data[i + 3][index], plot.data[i + 2][index]] : [null];
      const interval = band.includes(null) ? "" : ` [${band.map(shown.yText).join(", ")}]`;
      const colour = make("i");
      colour.style.background = colourOf(series.line);
      return [make("span", {}, colour, `${series.line.label}: ${shown.yText(value)}${interval}`)];
    });
    return this.readout.replaceChildren(make("strong", { textContent: shown.xText(plot.data[0][index]) }), ...each);
  }

  toggle(label) {
    this.plot?.series.forEach((series, i) => {
      if (i && series.label === label) this.plot.setSeries(i, { show: isShown(series) });
    });
  }
}

// Bars of parts, in HTML: a row a run.

class Bars extends Chart {
  resize() {}

  toggle() {
    this.draw();
  }

  draw() {
    const runs = here().filter((run) => run.parts && isShown(run));
    const sum = (run) => run.parts.reduce((total, value) => total + value, 0);
    const longest = Math.max(...runs.map(sum));
    const used = DATA.latencyParts.map((_, i) => i).filter((i) => runs.some((run) => run.parts[i] > 0));
    const rows = runs.map((run) => {
      const whole = this.choice.scale ? sum(run) : longest;
      const pieces = used.map((i) => coloured(make("div", { title: partText(run, i) }), i, run.parts[i] / whole));
      const said = make("span", {}, make("b", { textContent: run.label }), ` ${seconds(sum(run))}`);
      return make("div", { className: "row" }, said, make("div", { className: "track" }, ...pieces));
    });
    this.area.replaceChildren(...rows);
    this.readout.replaceChildren(...used.map((i) => make("span", {}, coloured(make("i"), i), DATA.latencyParts[i])));
  }
}

const partText = (run, i) => `${DATA.latencyParts[i]}: ${seconds(run.parts[i])}`;

function coloured(node, part, share) {
  node.style.background = PARTS[part % PARTS.length];
  if (share !== undefined) node.style.width = `${100 * share}%`;
  return node;
}

// What uPlot is given: x and the columns of all lines, how each looks, and bands between two.
function columns(shown, xLog, yLog) {
  const [x, keep] = positive(shown.x, xLog);
  const table = [x];
  const series = [{}];
  const bands = [];
  for (const line of shown.lines) {
    const own = [line.y];
    series.push(curve(line, shown));
    if (line.isSteady) {
      bands.push({ series: [table.length + 1, table.length + 2], fill: `${colourOf(line)}2e` });
      const only = (kind) => line.y.map((y, i) => (line.isSteady[i] === kind ? y : null));
      own.push(line.high, line.low, only(true), only(false));
      series.push(unseen(line), unseen(line), dots(line, colourOf(line)), dots(line, ink("--page")));
    }
    table.push(...own.map((column) => positive(keep(column), yLog)[2]));
  }
  return { table, series, bands };
}

const isShown = (line) => !chosen.hidden.has(line.label);

function curve(line, { step, gaps }) {
  return {
    line, label: line.label, show: isShown(line), stroke: colourOf(line), width: WIDTH,
    dash: line.dashes.map((length) => WIDTH * length), spanGaps: !gaps,
    paths: step ? uPlot.paths.stepped({ align: step }) : uPlot.paths.linear(), points: gaps ? {} : { show: false },
  };
}

// The end of an interval, of which only the band between it and the other is drawn.
function unseen(line) {
  return { label: line.label, show: isShown(line), width: 0, points: { show: false }, spanGaps: true };
}

function dots(line, fill) {
  const stroke = colourOf(line);
  const points = { show: true, size: 7, stroke, fill };
  return { label: line.label, show: isShown(line), stroke, paths: () => null, points };
}

function axis(label, size) {
  const font = "12px system-ui, sans-serif";
  const stroke = ink("--ink");
  const grid = { stroke: ink("--faint"), width: 1 };
  return { label, font, labelFont: font, labelSize: 18, labelGap: 2, size, stroke, grid, ticks: { ...grid, size: 4 } };
}

// Places of ticks on a logarithmic axis: powers of ten as far as there is room; over few decades 1, 2 and 5 times them.
function decades(low, high, most) {
  const [first, last] = [low, high].map((value) => Math.floor(Math.log10(value)));
  const step = Math.max(1, Math.ceil((last - first) / most));
  const digits = last - first < most / 3 ? [1, 2, 5] : [1];
  const found = [];
  for (let power = Math.ceil(first / step) * step; power <= last; power += step) {
    found.push(...digits.map((digit) => Number(`${digit}e${power}`)));
  }
  const inside = found.filter((value) => value >= low && value <= high);
  return inside.length > 1 ? inside : [0.1, 0.4, 0.7, 1].map((part) => low + part * (high - low));
}

function ticks(text, log, room) {
  const texts = { values: (_, splits) => splits.map((value) => (value === null ? "" : text(value))) };
  if (!log) return texts;
  const most = (plot) => (room > 50 ? plot.bbox.width : plot.bbox.height) / devicePixelRatio / room;
  return { ...texts, splits: (plot, _, low, high) => decades(low, high, most(plot)), filter: (_, splits) => splits };
}

// On a logarithmic axis 0 has no place. Returns x without it, how to keep the same rows of y, and x with gaps for it.
function positive(values, log) {
  if (!log) return [values, (column) => column, values];
  const rows = values.map((value, i) => [value, i]).filter(([value]) => value > 0).map(([, i]) => i);
  const gaps = values.map((value) => (value > 0 ? value : null));
  return [rows.map((i) => values[i]), (column) => rows.map((i) => column[i]), gaps];
}

function spread(low, high, log, marks) {
  if (low === null || high === null) return [0, 1];
  if (low === high) return log ? [low / 2, high * 2] : [low - 0.5, high + 0.5];
  if (!marks) return [low, high];
  return log ? [low / 1.1, high * 1.1] : [low - 0.04 * (high - low), high + 0.04 * (high - low)];
}

function upwards(low, high, log, most) {
  if (low === null || high === null) return log ? [0.1, 1] : [0, 1];
  if (log) return low === high ? [low / 2, high * 2] : [low / 1.15, high * 1.15];
  return [0, most ? Math.max(most, high) * 1.02 : high * 1.05 || 1];
}

// What all figures share: the legend, whose buttons show and hide lines, and the values of the factors.

function toggle(label) {
  if (!chosen.hidden.delete(label)) chosen.hidden.add(label);
  charts.forEach((chart) => chart.toggle(label));
  return !chosen.hidden.has(label);
}

function swatch(line) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const stroke = document.createElementNS(space, "line");
  svg.setAttribute("class", "swatch");
  const dashes = line.dashes.map((length) => 2.5 * length).join();
  const place = { x1: 0, x2: "100%", y1: "50%", y2: "50%", "stroke-width": 2.5, "stroke-dasharray": dashes };
  Object.entries({ ...place, stroke: colourOf(line) }).forEach(([key, value]) => stroke.setAttribute(key, value));
  svg.append(stroke);
  return svg;
}

function legend() {
  const keys = DATA.lines.map((line) => {
    const button = make("button", { type: "button", className: "key", title: "show or hide" }, swatch(line), line.label);
    button.setAttribute("aria-pressed", String(!chosen.hidden.has(line.label)));
    button.addEventListener("click", () => button.setAttribute("aria-pressed", String(toggle(line.label))));
    return button;
  });
  document.getElementById("legend").replaceChildren(...keys);
}

function choices() {
  const selects = DATA.factors.map(({ name, values }, factor) => {
    const select = make("select", { name: `at-${factor}` });
    select.append(...values.map((value, i) => make("option", { textContent: value, selected: i === chosen.at[factor] })));
    select.addEventListener("change", () => {
      chosen.at[factor] = select.selectedIndex;
      redraw();
    });
    return make("label", {}, `${name} `, select);
  });
  document.getElementById("choice").replaceChildren(...selects);
}

function redraw() {
  charts.forEach((chart) => chart.draw());
}

// Tables: a click on a head sorts by its column, a second one the other way; what has no number comes last.

function keyOf(row, column) {
  const cell = row.cells[column];
  const number = cell.dataset.value === undefined ? NaN : Number(cell.dataset.value);
  return Number.isNaN(number) ? cell.textContent.trim() : number;
}

function before(one, other, way) {
  const numbers = [one, other].map((key) => typeof key === "number");
  if (numbers[0] !== numbers[1]) return numbers[0] ? -1 : 1;
  return way * (numbers[0] ? one - other : one.localeCompare(other, "en", { numeric: true }));
}

function sort(table, column) {
  const heads = [...table.tHead.rows[0].cells];
  const way = heads[column].getAttribute("aria-sort") === "ascending" ? -1 : 1;
  heads.forEach((head) => head.removeAttribute("aria-sort"));
  heads[column].setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
  const rows = [...table.tBodies[0].rows].map((row) => [keyOf(row, column), row]);
  rows.sort(([one], [other]) => before(one, other, way));
  table.tBodies[0].append(...rows.map(([, row]) => row));
}

function sortable(table) {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = make("button", { type: "button" }, ...head.childNodes);
    button.addEventListener("click", () => sort(table, column));
    head.replaceChildren(button);
  });
}

// Paper is white and narrow, whatever the screen is.
function print(printing) {
  chosen.printing = printing;
  redraw();
}

document.querySelectorAll("table.sortable").forEach(sortable);
if (document.getElementById("charts")) {
  choices();
  legend();
  charts.push(...figures().map((figure) => new (figure.kind || Chart)(figure)));
  document.getElementById("charts").replaceChildren(...charts.map((chart) => chart.node));
  redraw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { legend(); redraw(); });
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));
}
