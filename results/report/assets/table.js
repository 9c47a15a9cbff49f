// The table of all trials: sorted by a click on a heading, filtered by text or by comparisons, a page at a time.

const PAGE_ROWS = 50;

class TrialTable {
  constructor(host, columns) {
    Object.assign(this, { host, columns, sorted: null, filters: {}, page: 0 });
    this.rowCount = columns.length ? columns[0].values.length : 0;
    this.shownColumns = columns.filter(one => one.shown);
    this.build();
    selection.watchers.push(() => this.mark());
  }
  column(name) { return this.columns.find(one => one.name === name); }
  cell(column, row) {
    const value = column.values[row];
    return column.words ? column.words[value] ?? null : value;
  }
  named(name, row) {  // a column without any value is not in the page
    const column = this.column(name);
    return column ? this.cell(column, row) : null;
  }
  build() {
    const [tools, scroll] = ["tools", "scroll"].map(name => Object.assign(document.createElement("div"), { className: name }));
    this.input = Object.assign(document.createElement("input"), { type: "search", placeholder: "filter: text, or outcome == COMPLETED and last_epoch > 3" });
    this.input.setAttribute("aria-label", "Filter the trials by text or by comparisons joined with and");
    this.input.addEventListener("input", () => this.keep("text", this.parsed(this.input.value)));
    this.status = Object.assign(document.createElement("span"), { className: "soft" });
    this.status.setAttribute("role", "status");
    const turn = (label, by) => {
      const button = Object.assign(document.createElement("button"), { textContent: label });
      button.addEventListener("click", () => { this.page += by; this.fill(); });
      return button;
    };
    tools.append(this.input, turn("previous", -1), turn("next", 1), this.status);
    scroll.tabIndex = 0;
    const table = scroll.appendChild(document.createElement("table")), head = table.createTHead().insertRow();
    for (const column of this.shownColumns) {
      const cell = head.appendChild(document.createElement("th")), button = cell.appendChild(document.createElement("button"));
      cell.scope = "col"; cell.className = column.words ? "" : "n";
      button.textContent = column.name.replace("config/", "");
      button.addEventListener("click", () => this.sort(column, cell));
    }
    this.body = table.createTBody();
    this.host.replaceChildren(tools, scroll);
    this.rows = Array.from({ length: this.rowCount }, (_, i) => i);
    this.fill();
  }
  parsed(text) {
    const wanted = text.trim().toLowerCase();
    if (!wanted) return null;
    const terms = wanted.split(/\s+and\s+/).map(part => part.match(/^([\w/]+)\s*(==|!=|>=|<=|=|>|<)\s*["']?(.*?)["']?$/));
    const named = terms.map(term => term && this.columns.find(one => [one.name, one.name.replace("config/", "")].includes(term[1])));
    if (terms.some((term, i) => !term || !named[i]))
      return row => this.columns.some(column => String(this.cell(column, row) ?? "").toLowerCase().includes(wanted));
    const compare = (given, sign, value) => {
      if (given === null) return sign === "!=";
      const [left, right] = typeof given === "number" ? [given, Number(value)] : [String(given).toLowerCase(), value];
      return { "==": left === right, "=": left === right, "!=": left !== right, ">": left > right, "<": left < right, ">=": left >= right, "<=": left <= right }[sign];
    };
    return row => terms.every((term, i) => compare(this.cell(named[i], row), term[2], term[3]));
  }
  setting() { return { text: this.input.value, column: this.sorted?.column.name, down: this.sorted?.down, page: this.page }; }
  set({ text, column, down, page }) {
    this.input.value = text;
    this.filters.text = this.parsed(text);
    const place = this.shownColumns.findIndex(one => one.name === column);
    this.sorted = place < 0 ? null : { column: this.shownColumns[place], down };
    if (place >= 0) this.host.querySelectorAll("th")[place].setAttribute("aria-sort", down ? "descending" : "ascending");
    this.page = page;
    this.order();
  }
  keep(name, filter) { this.filters[name] = filter; this.page = 0; this.order(); }
  sort(column, cell) {
    const down = this.sorted?.column === column && !this.sorted.down;
    this.sorted = { column, down };
    this.host.querySelectorAll("th").forEach(one => one.removeAttribute("aria-sort"));
    cell.setAttribute("aria-sort", down ? "descending" : "ascending");
    this.order();
  }
  order() {
    const filters = Object.values(this.filters).filter(Boolean), all = Array.from({ length: this.rowCount }, (_, i) => i);
    this.rows = all.filter(row => filters.every(filter => filter(row)));
    if (this.sorted) {
      const { column, down } = this.sorted;
      this.rows.sort((a, b) => {
        const [left, right] = [this.cell(column, a), this.cell(column, b)];
        if (left === null || right === null) return (left === null) - (right === null);
        return (left < right ? -1 : left > right ? 1 : a - b) * (down ? -1 : 1);
      });
    }
    this.fill();
  }
  fill() {
    const pages = Math.max(1, Math.ceil(this.rows.length / PAGE_ROWS));
    this.page = Math.min(pages - 1, Math.max(0, this.page));
    const from = this.page * PAGE_ROWS, rows = this.rows.slice(from, from + PAGE_ROWS);
    this.status.textContent = rows.length ? `${from + 1} to ${from + rows.length} of ${this.rows.length.toLocaleString("en")} trials` : "no trial fits";
    this.body.replaceChildren(...rows.map(row => this.row(row)));
    this.mark();
  }
  row(number) {
    const line = document.createElement("tr");
    line.tabIndex = 0; line.dataset.row = number;
    for (const column of this.shownColumns) {
      const cell = line.insertCell(), value = this.cell(column, number);
      cell.className = column.words ? (column.name === "reason" ? "wrap" : "") : "n";
      cell.textContent = column.whole ? value ?? "" : shown(value);
    }
    line.addEventListener("pointerenter", () => selection.hover(number));
    line.addEventListener("pointerleave", () => selection.hover(-1));
    line.addEventListener("click", () => selection.choose(number));
    line.addEventListener("keydown", event => {
      if (event.key === "Enter") selection.choose(number);
      if (event.key === "Escape") selection.choose(-1);
    });
    return line;
  }
  mark() {
    for (const line of this.body.rows) line.classList.toggle("on", Number(line.dataset.row) === selection.row);
  }
}
