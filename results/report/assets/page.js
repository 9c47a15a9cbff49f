// Puts the page together: unpacks its data, draws the charts, and says in words what is marked.

const page = {
  tip(text, x = 0, y = 0, aloud = false) {
    const tip = document.getElementById("tip");
    tip.hidden = text === null;
    if (text === null) return;
    tip.textContent = text;
    const width = tip.offsetWidth, height = tip.offsetHeight;
    tip.style.left = `${Math.max(4, Math.min(x + 14, window.innerWidth - width - 8))}px`;
    tip.style.top = `${y + 18 + height > window.innerHeight ? y - height - 12 : y + 18}px`;
    if (aloud) document.getElementById("said").textContent = text;
  },
  title(row) {
    const { table, metric } = this, cell = name => table.named(name, row), value = cell(metric.name);
    const measured = value === null ? "no value" : `${metric.name} ${shown(value)} at epoch ${cell("best_epoch")}`;
    return `${cell("trial_id")} ${cell("outcome")}: ${measured}`;
  },
  bar() {
    const bar = document.getElementById("chosen"), row = selection.chosen;
    bar.hidden = row < 0;
    history.replaceState(history.state, "", row < 0 ? location.pathname + location.search : `#${this.table.named("trial_id", row)}`);
    if (row < 0) return;
    const config = this.table.columns.filter(one => one.name.startsWith("config/"))
      .map(one => [one.name.replace("config/", ""), this.table.cell(one, row)]).filter(([, value]) => value !== null);
    bar.querySelector("p").textContent = `${this.title(row)}. ${config.map(([name, value]) => `${name}=${shown(value)}`).join(" ")}`;
  },
  draw() { this.charts.forEach(chart => chart.draw()); },
  // What the reader has set outlives the page's loading itself again: scroll, filter, order and brushes.
  keep() {
    history.replaceState({ scroll: window.scrollY, table: this.table?.setting(), brushes: this.parallel?.brushes() }, "");
  },
  restore() {
    const kept = history.state;
    if (!kept) return;
    if (kept.table) this.table?.set(kept.table);
    if (kept.brushes) this.parallel?.brush(kept.brushes);
    window.scrollTo(0, kept.scroll);
  },
  reload() {
    if (document.activeElement?.matches("input")) { setTimeout(() => this.reload(), 2000); return; }
    this.keep();
    location.reload();
  },
};

async function unpacked(id) {
  const text = document.getElementById(id).textContent.trim(), bytes = Uint8Array.from(atob(text), one => one.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
}

async function begin() {
  const data = await unpacked("data");
  page.metric = data.metric;
  page.table = data.columns.length ? new TrialTable(document.getElementById("trials"), data.columns) : null;
  page.charts = data.charts.map(spec => new Chart(document.getElementById(`chart-${spec.id}`), spec, page));
  page.parallel = data.parallel.length > 1 ? new Parallel(document.getElementById("chart-parallel"), page.table, data.parallel, data.metric) : null;
  if (page.parallel) page.charts.push(page.parallel);
  page.draw();
  if (page.table) {
    let last = -2;
    selection.watchers.push(() => { if (selection.chosen !== last) { last = selection.chosen; page.bar(); } });
    document.querySelector("#chosen button").addEventListener("click", () => selection.choose(-1));
    document.addEventListener("keydown", event => { if (event.key === "Escape") selection.choose(-1); });
    const ids = page.table.column("trial_id"), wanted = location.hash.slice(1);
    const row = wanted ? Array.from({ length: page.table.rowCount }, (_, i) => i).find(i => page.table.cell(ids, i) === wanted) : undefined;
    if (row !== undefined) selection.choose(row);
  }
  let width = window.innerWidth;
  window.addEventListener("resize", () => { if (window.innerWidth !== width) { width = window.innerWidth; page.draw(); } });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => page.draw());
  // A canvas that is drawn anew as printing begins comes out blank: what the screen shows is printed, dark turned light.
  window.addEventListener("beforeprint", () => {
    document.documentElement.dataset.print = matchMedia("(prefers-color-scheme: dark)").matches ? "inverted" : "as it is";
  });
  window.addEventListener("afterprint", () => { delete document.documentElement.dataset.print; });
  if (data.refresh_secs) { page.restore(); setTimeout(() => page.reload(), 1000 * data.refresh_secs); }
  document.documentElement.dataset.ready = "1";
}
begin();
