"use strict";
// Draws the charts of the page on canvas, each from a specification (see results/report/chart.py).

const css = name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const shown = value => {
  if (value === null || value === undefined) return "";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return value.toLocaleString("en");
  const size = Math.abs(value);
  return size >= 1e5 || size < 1e-4 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
};

// What is marked in every chart: the row of a trial, or -1.
const selection = {
  hovered: -1, chosen: -1, watchers: [],
  get row() { return this.hovered >= 0 ? this.hovered : this.chosen; },
  hover(row) { if (row !== this.hovered) { this.hovered = row; this.tell(); } },
  choose(row) { this.chosen = row; this.hovered = -1; this.tell(); },
  tell() { this.watchers.forEach(watcher => watcher()); },
};

class Scale {
  constructor(axis, low, high, from, to) {
    Object.assign(this, { axis, from, to });
    this.log = axis.log && low > 0;
    this.low = this.log ? Math.log10(low) : low;
    this.high = this.log ? Math.log10(high) : high;
    if (this.high <= this.low) {
      const pad = this.log || axis.whole ? 0.5 : Math.abs(this.low) * 0.05 || 0.5;
      this.low -= pad; this.high += pad;
    }
  }
  at(value) {
    const place = this.log ? Math.log10(value) : value;
    return this.from + (place - this.low) / (this.high - this.low) * (this.to - this.from);
  }
  ticks(most) {
    if (this.axis.names.length) {
      const step = Math.ceil(this.axis.names.length / most);
      return this.axis.names.map((name, i) => [i, name]).filter((_, i) => i % step === 0);
    }
    if (this.log) return this.logTicks(most);
    const rough = (this.high - this.low) / Math.max(1, most), power = 10 ** Math.floor(Math.log10(rough));
    const fine = [1, 2, 5, 10].map(one => one * power).find(one => one >= 0.75 * rough) || 10 * power;
    const step = this.axis.whole ? Math.max(1, Math.round(fine)) : fine;
    const found = [];
    for (let i = Math.ceil(this.low / step - 1e-9); i * step <= this.high + step * 1e-6; i++) found.push(i * step);
    return found.map(value => [value, shown(Number(value.toPrecision(10)))]);
  }
  logTicks(most) {
    const wide = this.high - this.low > 2;
    const found = [];
    for (let power = Math.floor(this.low); power <= Math.ceil(this.high); power++)
      for (const one of wide ? [1] : [1, 2, 5]) {
        const place = Math.log10(one) + power;
        if (place >= this.low - 1e-9 && place <= this.high + 1e-9) found.push(one * 10 ** power);
      }
    const step = Math.max(1, Math.ceil(found.length / most));
    return found.filter((_, i) => i % step === 0).map(value => [value, shown(Number(value.toPrecision(3)))]);
  }
}

class Chart {
  constructor(figure, spec, page) {
    Object.assign(this, { figure, spec, page, cursor: -1 });
    this.plot = figure.querySelector(".plot");
    this.plot.style.height = `${spec.height}px`;
    this.base = this.plot.appendChild(document.createElement("canvas"));
    this.over = this.plot.appendChild(document.createElement("canvas"));
    this.plot.tabIndex = 0;
    this.legend();
    this.listen();
    selection.watchers.push(() => this.mark());
  }
  legend() {
    const named = this.spec.series.filter(one => one.kind !== "rule" || this.spec.series.length > 2);
    const once = [...new Map(named.map(one => [one.name, one])).values()];
    if (once.length < 2) return;
    const list = this.figure.querySelector(".legend");
    for (const one of once) {
      const item = list.appendChild(document.createElement("li"));
      item.appendChild(document.createElement("i")).style.background = `var(--${one.color})`;
      item.append(one.name);
    }
  }
  listen() {
    this.plot.addEventListener("pointermove", event => this.point(event));
    this.plot.addEventListener("pointerleave", () => { this.page.tip(null); selection.hover(-1); });
    this.plot.addEventListener("click", event => {
      const mark = this.nearest(event);
      selection.choose(mark && mark.row >= 0 ? mark.row : -1);
    });
    this.plot.addEventListener("keydown", event => this.key(event));
    this.plot.addEventListener("blur", () => { this.page.tip(null); selection.hover(-1); });
  }
  key(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 10, ArrowUp: -10 }[event.key];
    if (event.key === "Escape") { selection.choose(-1); this.page.tip(null); return; }
    if (!this.marks.length) return;
    if (event.key === "Enter" && this.cursor >= 0) { selection.choose(this.ordered[this.cursor].row); return; }
    if (!step) return;
    event.preventDefault();
    this.ordered ||= [...this.marks].sort((a, b) => a.x - b.x || a.y - b.y);
    this.cursor = Math.min(this.ordered.length - 1, Math.max(0, this.cursor + step));
    const mark = this.ordered[this.cursor], box = this.plot.getBoundingClientRect();
    selection.hover(mark.row);
    this.page.tip(this.describe(mark), box.left + mark.x, box.top + mark.y, true);
  }
  point(event) {
    const mark = this.nearest(event);
    selection.hover(mark ? mark.row : -1);
    this.page.tip(mark ? this.describe(mark) : null, event.clientX, event.clientY);
  }
  nearest(event) {
    const box = this.plot.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    let best = null, least = 26 * 26;
    for (const mark of this.marks) {
      const dx = mark.x2 === undefined ? mark.x - x : Math.max(mark.x - x, 0, x - mark.x2);
      const dy = mark.half ? Math.max(Math.abs(mark.y - y) - mark.half, 0) : mark.y - y;
      const distance = dx * dx + dy * dy;
      if (distance < least || (distance === least && mark.row === selection.chosen)) { least = distance; best = mark; }
    }
    return best;
  }
  describe(mark) {
    const one = this.spec.series[mark.series], { x, y } = this.spec, lines = [];
    if (mark.row >= 0) lines.push(this.page.title(mark.row));
    else if (this.spec.series.length > 1) lines.push(one.name);
    const text = (axis, value) => axis.names.length ? axis.names[value] ?? shown(value) : shown(value);
    if (one.kind === "bars") lines.push(`${text(y, one.y[mark.index])}: ${shown(one.to[mark.index] - one.x[mark.index])}`);
    else {
      lines.push(`${x.label || "x"}: ${text(x, one.x[mark.index])}`, `${y.label || "y"}: ${text(y, one.y[mark.index])}`);
      if (one.kind === "heat") lines.push(`${one.name}: ${shown(one.to[mark.index])}`);
    }
    if (one.labels) lines.push(one.labels[mark.index]);
    return lines.join("\n");
  }
  domain(name) {
    let low = Infinity, high = -Infinity;
    const axis = this.spec[name];
    if (axis.names.length) return [-0.5, axis.names.length - 0.5];
    for (const one of this.spec.series) {
      const columns = one.kind === "rule" ? (name === "y" && one.y ? [one.y] : []) : [one[name]];
      if ((one.kind === "bars" && name === "x") || (one.kind === "band" && name === "y")) columns.push(one.to);
      for (const column of columns) for (const value of column || [])
        if (value !== null && (!axis.log || value > 0)) { if (value < low) low = value; if (value > high) high = value; }
    }
    if (low > high) return axis.log ? [1, 10] : [0, 1];
    const bars = this.spec.series.some(one => one.kind === "bars"), heat = this.spec.series.some(one => one.kind === "heat");
    if (axis.log) { const pad = (high / low) ** (heat ? 0.02 : 0.04) || 1; return [low / pad, high * pad]; }
    const pad = (high - low) * (heat ? 0.02 : 0.05);
    return bars && name === "x" ? [Math.min(0, low), high + pad] : [low - pad, high + pad];
  }
  frame(pen, width, height) {
    const { x, y } = this.spec, names = y.names.map(name => pen.measureText(name).width);
    const ySpan = this.domain("y"), flip = y.names.length > 0;
    const top = 8 + (y.label ? 16 : 0), bottom = height - (x.label ? 38 : 24);
    this.y = new Scale(y, ...ySpan, flip ? top : bottom, flip ? bottom : top);
    const yTicks = this.y.ticks(Math.max(3, (bottom - top) / (flip ? 14 : 32)));
    const widest = Math.max(20, ...(flip ? names : yTicks.map(([, label]) => pen.measureText(label).width)));
    const left = Math.min(widest + 10, width * 0.5);
    this.x = new Scale(x, ...this.domain("x"), left, width - 12);
    Object.assign(this, { left, top, bottom, right: width - 12, yTicks });
    const labelWidth = x.names.length ? Math.max(...x.names.map(name => pen.measureText(name).width)) + 10 : 64;
    this.xTicks = this.x.ticks(Math.max(2, Math.floor((this.right - left) / labelWidth)));
  }
  axes(pen, height) {
    pen.strokeStyle = css("line"); pen.fillStyle = css("soft"); pen.lineWidth = 1;
    pen.textBaseline = "middle"; pen.textAlign = "right";
    for (const [value, label] of this.yTicks) {
      const place = Math.round(this.y.at(value)) + 0.5;
      if (!this.spec.y.names.length) { pen.beginPath(); pen.moveTo(this.left, place); pen.lineTo(this.right, place); pen.stroke(); }
      pen.fillText(this.fitted(pen, label, this.left - 8), this.left - 6, place);
    }
    pen.textBaseline = "top"; pen.textAlign = "center";
    let free = -Infinity;
    for (const [value, label] of this.xTicks) {
      const place = this.x.at(value), half = pen.measureText(label).width / 2;
      const centre = Math.min(Math.max(place, half), this.right + 12 - half);
      if (centre - half < free) continue;
      free = centre + half + 6;
      pen.beginPath(); pen.moveTo(place, this.bottom); pen.lineTo(place, this.bottom + 4); pen.stroke();
      pen.fillText(label, centre, this.bottom + 7);
    }
    pen.beginPath(); pen.moveTo(this.left, this.bottom + 0.5); pen.lineTo(this.right, this.bottom + 0.5); pen.stroke();
    if (this.spec.x.label) { pen.textAlign = "right"; pen.textBaseline = "bottom"; pen.fillText(this.fitted(pen, this.spec.x.label, this.right), this.right, height - 1); }
    if (this.spec.y.label) { pen.textAlign = "left"; pen.textBaseline = "top"; pen.fillText(this.fitted(pen, this.spec.y.label, this.right), 0, 0); }
  }
  fitted(pen, text, room) {  // a long name is shortened in the middle; the tip has all of it
    if (pen.measureText(text).width <= room) return text;
    let kept = text.length;
    const short = () => `${text.slice(0, Math.ceil(kept / 2))}…${text.slice(text.length - Math.floor(kept / 2))}`;
    while (kept > 4 && pen.measureText(short()).width > room) kept--;
    return short();
  }
  pens() {
    const width = this.plot.clientWidth, height = this.spec.height, ratio = Math.max(2, window.devicePixelRatio || 1);
    return [this.base, this.over].map(canvas => {
      canvas.width = width * ratio; canvas.height = height * ratio;
      const pen = canvas.getContext("2d");
      pen.scale(ratio, ratio); pen.font = "12px system-ui, sans-serif";
      return pen;
    }).concat([width, height]);
  }
  draw() {
    const [pen, over, width, height] = this.pens();
    if (!width) return;
    this.overPen = over; this.size = [width, height]; this.marks = []; this.ordered = null; this.cursor = -1;
    this.frame(pen, width, height);
    const heats = this.spec.series.filter(one => one.kind === "heat");
    heats.forEach(one => this.heat(pen, one));
    this.axes(pen, height);
    pen.save(); pen.beginPath(); pen.rect(this.left - 4, this.top - 4, this.right - this.left + 12, this.bottom - this.top + 8); pen.clip();
    this.spec.series.forEach((one, i) => this.series(pen, one, i));
    pen.restore();
    this.mark();
  }
  heat(pen, one) {
    const xs = [...new Set(one.x)].map(value => this.x.at(value)).sort((a, b) => a - b);
    const ys = [...new Set(one.y)].map(value => this.y.at(value)).sort((a, b) => a - b);
    const w = xs.length > 1 ? (xs[xs.length - 1] - xs[0]) / (xs.length - 1) : this.right - this.left;
    const h = ys.length > 1 ? (ys[ys.length - 1] - ys[0]) / (ys.length - 1) : this.bottom - this.top;
    const low = Math.min(...one.to), high = Math.max(...one.to), ends = [css("low"), css("high")];
    one.to.forEach((value, i) => {
      const share = high > low ? (value - low) / (high - low) : 0.5;
      pen.fillStyle = `color-mix(in srgb, ${ends[1]} ${(100 * share).toFixed(1)}%, ${ends[0]})`;
      pen.fillRect(this.x.at(one.x[i]) - w / 2 - 0.4, this.y.at(one.y[i]) - h / 2 - 0.4, w + 0.8, h + 0.8);
    });
    this.cell = [w, h];
  }
  series(pen, one, number) {
    const color = css(one.color === "ink" ? "ink" : one.color) || css("accent"), place = i => [this.x.at(one.x[i]), this.y.at(one.y[i])];
    const row = i => one.trials ? one.trials[i] : -1;
    pen.strokeStyle = pen.fillStyle = color;
    if (one.kind === "rule") {
      pen.setLineDash([2, 4]); pen.lineWidth = 1;
      for (const value of one.x || []) this.stroke(pen, [[this.x.at(value), this.top], [this.x.at(value), this.bottom]]);
      for (const value of one.y || []) this.stroke(pen, [[this.left, this.y.at(value)], [this.right, this.y.at(value)]]);
      pen.setLineDash([]);
      return;
    }
    const many = one.x.length;
    if (one.kind === "line" || one.kind === "step") {
      pen.lineWidth = many > 4000 ? 0.7 : one.trials && one.kind === "line" ? 1 : 2;
      pen.globalAlpha = one.trials && one.kind === "line" ? (many > 4000 ? 0.45 : 0.75) : 1;
      this.polyline(pen, one);
      this.lone(pen, one);
      pen.globalAlpha = 1;
      for (let i = 0; i < many; i++) if (one.x[i] !== null && one.y[i] !== null) { const [x, y] = place(i); this.marks.push({ x, y, row: row(i), series: number, index: i }); }
    } else if (one.kind === "band") {
      pen.globalAlpha = 0.18; pen.beginPath();
      one.x.forEach((_, i) => pen[i ? "lineTo" : "moveTo"](...place(i)));
      for (let i = many - 1; i >= 0; i--) pen.lineTo(this.x.at(one.x[i]), this.y.at(one.to[i]));
      pen.closePath(); pen.fill(); pen.globalAlpha = 1;
    } else if (one.kind === "bars") {
      const half = Math.min(13, Math.abs(this.y.at(1) - this.y.at(0)) * 0.38);
      for (let i = 0; i < many; i++) {
        const x = this.x.at(one.x[i]), x2 = Math.max(this.x.at(one.to[i]), x + 1.5), y = this.y.at(one.y[i]);
        pen.fillRect(x, y - half, Math.max(1, x2 - x - (one.trials ? 0.7 : 0)), 2 * half);
        this.marks.push({ x, x2, y, half, row: row(i), series: number, index: i });
      }
    } else {
      const heat = one.kind === "heat", radius = many > 1000 ? 1.8 : many > 300 ? 2.4 : 3.4;
      pen.globalAlpha = many > 300 ? 0.6 : 0.85;
      for (let i = 0; i < many; i++) {
        if (one.x[i] === null || one.y[i] === null) continue;
        const [x, y] = place(i);
        if (!heat) { pen.beginPath(); pen.arc(x, y, radius, 0, 7); pen.fill(); }
        this.marks.push({ x, y, row: row(i), series: number, index: i });
      }
      pen.globalAlpha = 1;
    }
  }
  polyline(pen, one, keeps = () => true) {
    pen.beginPath();
    let open = false, last = 0;
    for (let i = 0; i < one.x.length; i++) {
      if (one.x[i] === null || one.y[i] === null || !keeps(i)) { open = false; continue; }
      const x = this.x.at(one.x[i]), y = this.y.at(one.y[i]);
      if (open && one.kind === "step") pen.lineTo(x, last);
      pen[open ? "lineTo" : "moveTo"](x, y);
      open = true; last = y;
    }
    pen.stroke();
  }
  lone(pen, one) {  // a trial of one epoch, or a step alone, has no line to be seen by
    const known = i => i >= 0 && i < one.x.length && one.x[i] !== null && one.y[i] !== null;
    const radius = one.x.length > 4000 ? 1 : 2;
    for (let i = 0; i < one.x.length; i++) {
      if (!known(i) || known(i - 1) || known(i + 1)) continue;
      pen.beginPath(); pen.arc(this.x.at(one.x[i]), this.y.at(one.y[i]), radius, 0, 7); pen.fill();
    }
  }
  stroke(pen, points) {
    pen.beginPath(); points.forEach((point, i) => pen[i ? "lineTo" : "moveTo"](...point)); pen.stroke();
  }
  mark() {  // the hovered or chosen trial, over everything else
    const pen = this.overPen, row = selection.row;
    if (!pen) return;
    pen.clearRect(0, 0, ...this.size);
    if (row < 0) return;
    pen.strokeStyle = css("ink"); pen.fillStyle = css("mark");
    this.spec.series.forEach(one => {
      if (one.kind === "line" && one.trials) { pen.lineWidth = 3; pen.strokeStyle = css("mark"); this.polyline(pen, one, i => one.trials[i] === row); pen.strokeStyle = css("ink"); }
    });
    pen.lineWidth = 1.5;
    for (const mark of this.marks) {
      if (mark.row !== row) continue;
      pen.beginPath();
      if (mark.half) { pen.rect(mark.x - 1, mark.y - mark.half - 2, mark.x2 - mark.x + 2, 2 * mark.half + 4); pen.lineWidth = 2.5; pen.stroke(); continue; }
      pen.arc(mark.x, mark.y, this.spec.series[mark.series].kind === "line" ? 3 : 5.5, 0, 7); pen.fill(); pen.stroke();
    }
  }
}
