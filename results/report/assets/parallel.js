// Parallel coordinates of the trial table: one axis a column; dragging on an axis keeps the trials within.

class Parallel {
  constructor(figure, table, columns, metric) {
    Object.assign(this, { figure, table, metric });
    this.axes = columns.map(name => ({ name, column: table.column(name), brush: null }));
    this.plot = figure.querySelector(".plot");
    this.base = this.plot.appendChild(document.createElement("canvas"));
    this.over = this.plot.appendChild(document.createElement("canvas"));
    this.height = 300;
    this.plot.style.height = `${this.height}px`;
    this.plot.tabIndex = 0;
    this.axes.forEach(axis => this.measure(axis));
    this.listen();
    selection.watchers.push(() => this.mark());
  }
  measure(axis) {
    const { column } = axis;
    if (column.words) { axis.low = 0; axis.high = Math.max(1, column.words.length - 1); axis.log = false; return; }
    const values = column.values.filter(value => value !== null);
    axis.low = values.reduce((a, b) => Math.min(a, b)); axis.high = values.reduce((a, b) => Math.max(a, b));
    axis.log = axis.low > 0 && axis.high / axis.low > 50;
    if (axis.high === axis.low) { axis.low -= 0.5; axis.high += 0.5; axis.log = false; }
  }
  share(axis, value) {
    if (value === null || value === -1) return null;
    const place = one => axis.log ? Math.log(one) : one;
    return (place(value) - place(axis.low)) / (place(axis.high) - place(axis.low));
  }
  listen() {
    let from = null;
    const share = event => (this.bottom - (event.clientY - this.plot.getBoundingClientRect().top)) / (this.bottom - this.top);
    const axisAt = event => {
      const x = event.clientX - this.plot.getBoundingClientRect().left;
      return this.axes.reduce((best, one) => Math.abs(one.x - x) < Math.abs(best.x - x) ? one : best);
    };
    this.plot.addEventListener("pointerdown", event => { from = [axisAt(event), share(event)]; this.plot.setPointerCapture(event.pointerId); });
    this.plot.addEventListener("pointermove", event => {
      if (!from) return;
      const to = share(event), [axis, start] = from;
      axis.brush = Math.abs(to - start) < 0.02 ? null : [Math.min(start, to), Math.max(start, to)];
      this.draw();
    });
    this.plot.addEventListener("pointerup", event => {
      if (from && Math.abs(share(event) - from[1]) < 0.02) from[0].brush = null;
      from = null; this.draw(); this.table.keep("parallel", this.brushed() ? row => this.keeps(row) : null);
    });
    this.plot.addEventListener("keydown", event => {
      if (event.key === "Escape") { this.axes.forEach(axis => { axis.brush = null; }); this.table.keep("parallel", null); this.draw(); }
    });
  }
  brushes() { return Object.fromEntries(this.axes.filter(axis => axis.brush).map(axis => [axis.name, axis.brush])); }
  brush(brushes) {
    for (const axis of this.axes) axis.brush = brushes[axis.name] ?? null;
    this.table.keep("parallel", this.brushed() ? row => this.keeps(row) : null);
    this.draw();
  }
  brushed() { return this.axes.some(axis => axis.brush); }
  keeps(row) {
    return this.axes.every(axis => {
      if (!axis.brush) return true;
      const share = this.share(axis, axis.column.values[row]);
      return share !== null && share >= axis.brush[0] - 1e-9 && share <= axis.brush[1] + 1e-9;
    });
  }
  draw() {
    const width = this.plot.clientWidth, ratio = Math.max(2, window.devicePixelRatio || 1);
    if (!width) return;
    const [pen, over] = [this.base, this.over].map(canvas => {
      canvas.width = width * ratio; canvas.height = this.height * ratio;
      const made = canvas.getContext("2d"); made.scale(ratio, ratio); made.font = "11px system-ui, sans-serif"; return made;
    });
    this.pen = over; this.width = width; this.top = 48; this.bottom = this.height - 18;
    this.axes.forEach((axis, i) => { axis.x = 30 + i * (width - 60) / Math.max(1, this.axes.length - 1); });
    const rows = this.table.rowCount, step = Math.max(1, Math.ceil(rows / 3000)), colors = [css("low"), css("high")];
    const main = this.axes[this.axes.length - 1];
    pen.lineWidth = rows > 500 ? 0.6 : 1.1;
    for (let row = rows - 1; row >= 0; row--) {
      if (row >= 300 && row % step) continue;
      const score = this.share(main, main.column.values[row]), kept = this.keeps(row);
      pen.globalAlpha = kept ? (rows > 500 ? 0.4 : 0.75) : 0.05;
      pen.strokeStyle = score === null ? css("muted") : `color-mix(in srgb, ${colors[1]} ${Math.round(100 * (this.metric.better === "max" ? score : 1 - score))}%, ${css("STOPPED")})`;
      this.line(pen, row);
    }
    pen.globalAlpha = 1;
    const every = Math.ceil(90 / ((width - 60) / Math.max(1, this.axes.length - 1)));
    this.axes.forEach((axis, i) => this.axis(pen, axis, i, every));
    this.mark();
  }
  line(pen, row) {
    pen.beginPath();
    let open = false;
    for (const axis of this.axes) {
      const share = this.share(axis, axis.column.values[row]);
      if (share === null) { open = false; continue; }
      pen[open ? "lineTo" : "moveTo"](axis.x, this.bottom - share * (this.bottom - this.top));
      open = true;
    }
    pen.stroke();
  }
  axis(pen, axis, i, every) {
    pen.strokeStyle = css("soft"); pen.fillStyle = css("ink"); pen.lineWidth = 1;
    pen.beginPath(); pen.moveTo(axis.x, this.top); pen.lineTo(axis.x, this.bottom); pen.stroke();
    if (axis.brush) {
      pen.fillStyle = css("mark"); pen.globalAlpha = 0.35;
      const [low, high] = axis.brush.map(share => this.bottom - share * (this.bottom - this.top));
      pen.fillRect(axis.x - 7, high, 14, low - high); pen.globalAlpha = 1; pen.fillStyle = css("ink");
    }
    pen.textAlign = i === 0 ? "left" : i === this.axes.length - 1 ? "right" : "center";
    const x = i === 0 ? axis.x - 28 : i === this.axes.length - 1 ? axis.x + 28 : axis.x;
    if (i % every === 0 || i === this.axes.length - 1) pen.fillText(axis.name.replace("config/", ""), x, i % 2 ? 10 : 24);
    pen.fillStyle = css("soft");
    const end = value => axis.column.words ? axis.column.words[value] ?? "" : shown(value);
    if (i % every === 0 || i === this.axes.length - 1) pen.fillText(end(axis.low), x, this.height - 4);
    if (i % every === 0 || i === this.axes.length - 1) { pen.textBaseline = "top"; pen.fillText(end(axis.high), x, 30); pen.textBaseline = "alphabetic"; }
  }
  mark() {
    const pen = this.pen;
    if (!pen) return;
    pen.clearRect(0, 0, this.width, this.height);
    if (selection.row < 0) return;
    pen.strokeStyle = css("mark"); pen.lineWidth = 3; this.line(pen, selection.row);
  }
}
