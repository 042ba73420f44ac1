"use strict";
// Draws the learning curves from the numbers in #data, and lets tables be sorted. Text goes into
// the page as text, never as markup.
(() => {
  const MARGIN = { top: 12, right: 14, bottom: 40 };
  const byId = (id) => document.getElementById(id);

  function element(name, attributes = {}, ...content) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...content);
    return made;
  }

  // ---- Numbers -------------------------------------------------------------------------------

  const finite = (value) => typeof value === "number" && Number.isFinite(value);
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

  /** For people: 4 significant digits, with separators from 10,000 on. */
  function shown(value) {
    if (!finite(value)) return "";
    if (Math.abs(value) >= 1e7 || (value && Math.abs(value) < 1e-3)) return value.toExponential(2);
    const rounded = Math.abs(value) >= 1000 ? Math.round(value) : Number(value.toPrecision(4));
    return rounded.toLocaleString("en", { maximumFractionDigits: 6 });
  }

  /** On an axis: 20k, 1.5M. */
  function tickText(value) {
    const size = Math.abs(value);
    if (size >= 1e12 || (size && size < 1e-4)) return value.toExponential().replace("+", "");
    for (const [unit, letter] of [[1e9, "G"], [1e6, "M"], [1e4, "k"]]) {
      if (size >= unit) return Number((value / (letter === "k" ? 1e3 : unit)).toPrecision(6)) + letter;
    }
    return String(Number(value.toPrecision(6)));
  }

  /** About `count` round numbers from low to high. */
  function linearTicks(low, high, count) {
    const rough = (high - low) / Math.max(count, 1);
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * ([1, 2, 5].find((m) => power * m >= rough * 0.999) || 10);
    const ticks = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) {
      ticks.push(k * step);
    }
    return ticks;
  }

  function logTicks(low, high, count) {
    const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9);
    if (last - first < 1) return linearTicks(low, high, count).filter((tick) => tick > 0);
    const every = Math.ceil((last - first) / count);
    const ticks = [];
    for (let k = first; k <= last; k += every) ticks.push(10 ** k);
    return ticks;
  }

  /** The index of the last x that is no more than `place`, or of the first. */
  function latest(x, place) {
    let low = 0, high = x.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (x[middle] <= place) low = middle; else high = middle - 1;
    }
    return low;
  }

  function nearest(x, place) {
    const before = latest(x, place);
    const after = Math.min(before + 1, x.length - 1);
    return Math.abs(x[after] - place) < Math.abs(x[before] - place) ? after : before;
  }

  // ---- Charts --------------------------------------------------------------------------------

  class Chart {
    constructor(figure, panel, data, view, number) {
      Object.assign(this, { panel, data, view, number });
      this.svg = figure.querySelector(".chart > svg");
      this.legend = figure.querySelector(".legend");
      this.curves = panel.curves;
      const places = this.curves.flatMap((curve) => curve.x);
      this.ends = places.length ? [places.reduce((a, b) => Math.min(a, b)),
        places.reduce((a, b) => Math.max(a, b))] : [0, 1];
      if (this.ends[0] === this.ends[1]) this.ends = [this.ends[0] - 0.5, this.ends[1] + 0.5];
      this.range = this.ends;
      this.empty = !places.length;
      this.svg.setAttribute("tabindex", "0");
      this.svg.setAttribute("role", "img");
      this.svg.setAttribute("aria-label", `${data.yLabel}, ${panel.env}; arrow keys read values`);
      this.makeLegend();
      this.listen();
    }

    node(name, attributes, parent = this.svg, text) {
      const made = document.createElementNS(this.svg.namespaceURI, name);
      for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
      if (text !== undefined) made.textContent = text;
      parent.append(made);
      return made;
    }

    makeLegend() {
      this.head = element("div", { class: "head", "aria-live": "polite" });
      this.legend.append(this.head);
      this.entries = this.curves.map((curve) => {
        const key = document.createElementNS(this.svg.namespaceURI, "svg");
        for (const [name, value] of [["class", `key ${curve.look}`], ["width", 22], ["height", 10]]) {
          key.setAttribute(name, value);
        }
        this.node("line", { x1: 1, x2: 21, y1: 5, y2: 5 }, key);
        const label = element("span", {}, curve.label);
        if (curve.remark) label.append(element("small", {}, ` ${curve.remark}`));
        const value = element("output");
        const button = element("button", { type: "button", title: "show or hide" }, key, label, value);
        button.addEventListener("click", () => this.view.toggle(curve.variant));
        for (const event of ["pointerenter", "focus"]) {
          button.addEventListener(event, () => this.mark(curve.variant));
        }
        for (const event of ["pointerleave", "blur"]) {
          button.addEventListener(event, () => this.mark(null));
        }
        this.legend.append(button);
        return { button, value };
      });
    }

    /** Fade all curves but the variant's. */
    mark(variant) {
      for (const group of this.svg.querySelectorAll("[data-variant]")) {
        const other = variant !== null && group.dataset.variant !== String(variant);
        group.classList.toggle("faded", other);
      }
    }

    // -- what is drawn

    shownCurves() {
      return this.curves.filter((curve) => !this.view.hidden.has(curve.variant));
    }

    line(curve) {
      return this.view.band === "iqr" && curve.median ? curve.median : curve.mean;
    }

    /** From the least to the largest value in the range of x, the goal too if it is near. */
    span() {
      let low = Infinity, high = -Infinity;
      const [from, to] = this.range;
      for (const curve of this.shownCurves()) {
        const lines = [this.line(curve), ...(curve.bands[this.view.band] || [])];
        if (this.view.seeds) lines.push(...curve.seeds);
        curve.x.forEach((x, i) => {
          if (x < from || x > to) return;
          for (const line of lines) {
            const value = line[i];
            if (!finite(value) || (this.data.log && value <= 0)) continue;
            low = Math.min(low, value);
            high = Math.max(high, value);
          }
        });
      }
      if (low > high) [low, high] = this.data.log ? [1, 10] : [0, 1];
      const goal = this.panel.threshold;
      this.near = finite(goal) && !this.empty && goal >= low - (high - low) &&
        goal <= high + (high - low) && !(this.data.log && goal <= 0);
      this.above = goal > high;
      if (this.near) [low, high] = [Math.min(low, goal), Math.max(high, goal)];
      if (this.data.log) {
        const room = (high / low) ** 0.04;
        return low === high ? [low / 2, high * 2] : [low / room, high * room];
      }
      const room = (high - low) * 0.04 || Math.abs(high) * 0.1 || 0.5;
      return [low - room, high + room];
    }

    draw() {
      const width = this.view.paper ? 900 : Math.max(this.svg.clientWidth, 200);
      const height = Math.round(clamp(width * 0.5, 280, 400));
      const [bottom, top] = this.span();
      const count = height / 60;
      const ticks = this.data.log ? logTicks(bottom, top, count) : linearTicks(bottom, top, count);
      const left = 14 + 7 * Math.max(1, ...ticks.map((tick) => tickText(tick).length));
      const plot = { left, right: width - MARGIN.right, top: MARGIN.top + 22,
        bottom: height - MARGIN.bottom };
      const [from, to] = this.range;
      const height01 = this.data.log
        ? (v) => (Math.log(v) - Math.log(bottom)) / (Math.log(top) - Math.log(bottom))
        : (v) => (v - bottom) / (top - bottom);
      this.plot = plot;
      this.toX = (x) => plot.left + ((x - from) / (to - from)) * (plot.right - plot.left);
      this.fromX = (px) => from + ((px - plot.left) / (plot.right - plot.left)) * (to - from);
      this.toY = (v) => plot.bottom - height01(v) * (plot.bottom - plot.top);

      this.svg.replaceChildren();
      this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      this.svg.setAttribute("height", height);
      this.drawAxes(ticks, width, height);
      const clip = this.node("clipPath", { id: `clip${this.number}` });
      this.node("rect", { x: plot.left - 3, y: plot.top - 3, width: plot.right - plot.left + 6,
        height: plot.bottom - plot.top + 6 }, clip);
      const inside = this.node("g", { "clip-path": `url(#clip${this.number})` });
      for (const curve of this.shownCurves()) this.drawCurve(curve, inside);
      if (this.empty) {
        this.node("text", { x: (plot.left + plot.right) / 2, y: (plot.top + plot.bottom) / 2,
          "text-anchor": "middle" }, this.svg, "no values yet");
      }
      this.over = this.node("g", {});
      this.entries.forEach(({ button }, i) => {
        button.setAttribute("aria-pressed", !this.view.hidden.has(this.curves[i].variant));
      });
      this.read(null);
    }

    drawAxes(ticks, width, height) {
      const { left, right, top, bottom } = this.plot;
      this.node("text", { x: 0, y: 12 }, this.svg, this.data.yLabel);
      for (const tick of ticks) {
        const y = this.toY(tick);
        this.node("line", { x1: left, x2: right, y1: y, y2: y, class: "grid" });
        this.node("text", { x: left - 8, y: y + 4, "text-anchor": "end" }, this.svg, tickText(tick));
      }
      for (const tick of linearTicks(...this.range, clamp(width / 70, 2, 8))) {
        if (this.panel.x !== "seconds" && !Number.isInteger(tick)) continue;
        const x = this.toX(tick);
        this.node("line", { x1: x, x2: x, y1: bottom, y2: bottom + 4, class: "grid" });
        this.node("text", { x, y: bottom + 17, "text-anchor": "middle" }, this.svg, tickText(tick));
      }
      this.node("text", { x: right, y: height - 5, "text-anchor": "end" }, this.svg,
        this.panel.xLabel);
      if (!finite(this.panel.threshold)) return;
      const words = `solved at ${shown(this.panel.threshold)}`;
      const y = this.near ? this.toY(this.panel.threshold) : this.above ? top : bottom;
      if (this.near) this.node("line", { x1: left, x2: right, y1: y, y2: y, class: "goal" });
      const below = y - top < 14 ? 14 : -5;
      this.node("text", { x: right, y: y + below, "text-anchor": "end" }, this.svg,
        this.near ? words : `${words} ${this.above ? "↑" : "↓"}`);
    }

    /** Parts of a path: where a value is missing, or has no logarithm, there is a gap. */
    path(curve, line, from, to) {
      let text = "", open = false;
      for (let i = from; i < to; i++) {
        const good = finite(line[i]) && !(this.data.log && line[i] <= 0);
        if (good) {
          text += `${open ? "L" : "M"}${this.toX(curve.x[i]).toFixed(1)} ${this.toY(line[i]).toFixed(1)}`;
        }
        open = good;
      }
      return text;
    }

    area(curve, [low, high], from, to) {
      const up = [], down = [];
      for (let i = from; i < to; i++) {
        if (!finite(low[i]) || !finite(high[i]) || (this.data.log && low[i] <= 0)) continue;
        const x = this.toX(curve.x[i]).toFixed(1);
        up.push(`${x} ${this.toY(high[i]).toFixed(1)}`);
        down.unshift(`${x} ${this.toY(low[i]).toFixed(1)}`);
      }
      return up.length > 1 ? `M${up.join("L")}L${down.join("L")}Z` : "";
    }

    drawCurve(curve, parent) {
      if (!curve.x.length) return;
      const group = this.node("g", { class: curve.look, "data-variant": curve.variant }, parent);
      const count = curve.x.length, whole = curve.whole;
      const rest = Math.max(whole - 1, 0);  // so that the line joins
      const band = curve.bands[this.view.band];
      if (band) {
        this.node("path", { d: this.area(curve, band, 0, whole), class: "band" }, group);
        if (whole < count) {
          this.node("path", { d: this.area(curve, band, rest, count), class: "band ended" }, group);
        }
      }
      if (this.view.seeds) {
        for (const seed of curve.seeds) {
          this.node("path", { d: this.path(curve, seed, 0, count), class: "seed" }, group);
        }
      }
      const line = this.line(curve);
      this.node("path", { d: this.path(curve, line, 0, whole), class: "curve" }, group);
      if (whole < count) {
        this.node("path", { d: this.path(curve, line, rest, count), class: "curve ended" }, group);
      }
      if (count === 1 && finite(line[0])) {  // a line of one point would not show
        this.node("circle", { cx: this.toX(curve.x[0]), cy: this.toY(line[0]), r: 4, class: "point" },
          group);
      }
    }

    // -- what the pointer and the keys do

    /** Show every variant's value at x, or nothing. */
    read(place) {
      this.at = place;
      this.over.replaceChildren();
      this.head.textContent = "";
      this.entries.forEach(({ value }) => { value.textContent = ""; });
      if (place === null || this.empty) return;
      const all = this.shownCurves().filter((curve) => curve.x.length);
      if (!all.length) return;
      const stops = all.map((curve) => curve.x[nearest(curve.x, place)]);
      const x = stops.reduce((a, b) => (Math.abs(b - place) < Math.abs(a - place) ? b : a));
      const px = this.toX(x), { top, bottom, left, right } = this.plot;
      this.node("line", { x1: px, x2: px, y1: top, y2: bottom, class: "cross" }, this.over);
      this.node("text", { x: clamp(px, left + 20, right - 20), y: top - 5, "text-anchor": "middle" },
        this.over, shown(x));
      this.head.textContent = `${this.panel.x} ${shown(x)}`;
      this.curves.forEach((curve, i) => {
        if (this.view.hidden.has(curve.variant) || !curve.x.length) return;
        if (x < curve.x[0] || x > curve.x[curve.x.length - 1]) return;
        const at = this.line(curve)[latest(curve.x, x)];
        this.entries[i].value.textContent = shown(at);
        if (finite(at) && !(this.data.log && at <= 0)) {
          const group = this.node("g", { class: curve.look }, this.over);
          this.node("circle", { cx: px, cy: this.toY(at), r: 3.5, class: "point" }, group);
        }
      });
    }

    place(event) {
      const box = this.svg.getBoundingClientRect();
      const scale = this.svg.viewBox.baseVal.width / box.width;
      return clamp(this.fromX((event.clientX - box.left) * scale), ...this.range);
    }

    listen() {
      let start = null;
      this.svg.addEventListener("pointerdown", (event) => {
        if (event.pointerType !== "touch" && event.button === 0) {
          start = this.place(event);
          this.svg.setPointerCapture(event.pointerId);
        }
        this.read(this.place(event));
      });
      this.svg.addEventListener("pointermove", (event) => {
        const now = this.place(event);
        this.read(now);
        if (start === null) return;
        const [a, b] = [this.toX(start), this.toX(now)];
        this.node("rect", { x: Math.min(a, b), width: Math.abs(b - a), y: this.plot.top,
          height: this.plot.bottom - this.plot.top, class: "zoom" }, this.over);
      });
      this.svg.addEventListener("pointerup", (event) => {
        if (start !== null && Math.abs(this.toX(this.place(event)) - this.toX(start)) > 8) {
          const now = this.place(event);
          this.zoom([Math.min(start, now), Math.max(start, now)]);
        }
        start = null;
      });
      this.svg.addEventListener("pointercancel", () => { start = null; });
      this.svg.addEventListener("pointerleave", (event) => {
        // What a finger has pointed at stays to be read.
        if (start === null && event.pointerType !== "touch") this.read(null);
      });
      this.svg.addEventListener("dblclick", () => this.zoom(this.ends));
      this.svg.addEventListener("blur", () => this.read(null));
      this.svg.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: -0.02, ArrowRight: 0.02 }[event.key];
        if (event.key === "Escape") this.zoom(this.ends);
        if (!step) return;
        event.preventDefault();
        const [from, to] = this.range;
        this.read(clamp((this.at ?? (step < 0 ? to : from)) + step * (to - from), from, to));
      });
    }

    zoom(range) {
      this.range = range;
      this.draw();
      this.view.changed();
    }
  }

  // ---- The page ------------------------------------------------------------------------------

  function charts(data) {
    const view = { band: data.band, seeds: data.seeds, hidden: new Set(), paper: false };
    const figures = [...document.querySelectorAll("figure:has(> .chart)")];
    const all = figures.map((figure, i) => new Chart(figure, data.panels[i], data, view, i));
    const draw = () => { all.forEach((chart) => chart.draw()); view.changed(); };
    view.toggle = (variant) => {
      if (!view.hidden.delete(variant)) view.hidden.add(variant);
      draw();
    };
    tools(data, view, all, draw);
    draw();
    let width = window.innerWidth;
    window.addEventListener("resize", () => {
      if (window.innerWidth !== width) draw();  // a phone's bars change the height alone
      width = window.innerWidth;
    });
    // The same letters on paper, whatever the width of the window.
    for (const [event, paper] of [["beforeprint", true], ["afterprint", false]]) {
      window.addEventListener(event, () => { view.paper = paper; draw(); });
    }
  }

  function tools(data, view, all, draw) {
    const place = byId("tools");
    const curves = data.panels.flatMap((panel) => panel.curves);
    if (curves.some((curve) => Object.keys(curve.bands).length)) {
      const choice = element("fieldset", {}, element("legend", {}, "Band"));
      for (const [band, name, meaning] of data.bands) {
        const input = element("input", { type: "radio", name: "band", value: band });
        input.checked = band === view.band;
        input.addEventListener("change", () => { view.band = band; draw(); });
        choice.append(element("label", { title: meaning }, input, name));
      }
      place.append(choice);
    }
    if (curves.some((curve) => curve.seeds.length)) {
      const input = element("input", { type: "checkbox" });
      input.checked = view.seeds;
      input.addEventListener("change", () => { view.seeds = input.checked; draw(); });
      place.append(element("label", {}, input, "Each seed"));
    }
    const reset = element("button", { type: "button" }, "Reset zoom");
    reset.addEventListener("click", () => all.forEach((chart) => chart.zoom(chart.ends)));
    const none = element("button", { type: "button" });
    none.addEventListener("click", () => {
      if (view.hidden.size) view.hidden.clear();
      else curves.forEach((curve) => view.hidden.add(curve.variant));
      draw();
    });
    place.append(reset);
    if (new Set(curves.map((curve) => curve.variant)).size > 1) place.append(none);
    view.changed = () => {
      reset.disabled = all.every((chart) => chart.range === chart.ends);
      none.textContent = view.hidden.size ? "Show all" : "Hide all";
    };
  }

  /** The first number of a cell; what has none comes last. */
  function numberIn(text) {
    const found = parseFloat(text);
    return Number.isNaN(found) ? null : found;
  }

  function sortable(table) {
    const body = table.tBodies[0];
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = element("button", { type: "button" }, ...head.childNodes);
      head.append(button);
      const number = head.classList.contains("number");
      button.addEventListener("click", () => {
        const order = head.getAttribute("aria-sort");
        const down = order ? order === "ascending" : number;  // the largest first
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const sign = down ? -1 : 1;
        const rows = [...body.rows].map((row) => {
          const text = row.cells[column].textContent;
          return [number ? numberIn(text) : text, row];
        });
        rows.sort(([a], [b]) => {
          if (a === null || b === null) return (a === null) - (b === null);
          return sign * (number ? a - b : a.localeCompare(b, "en", { numeric: true }));
        });
        body.append(...rows.map(([, row]) => row));
      });
    });
  }

  try {
    document.querySelectorAll("table.sortable").forEach(sortable);
    charts(JSON.parse(byId("data").textContent));
  } catch (error) {
    byId("problem").textContent = `The curves could not be drawn: ${error.message}`;
    byId("problem").hidden = false;
  }
})();
