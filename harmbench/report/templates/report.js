"use strict";
// The report works without this file; with it tables sort and filter, plots are drawn, slices flip.

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      // The first click puts the best on top.
      const first = head.dataset.better === "up" ? "descending" : "ascending";
      const other = first === "ascending" ? "descending" : "ascending";
      const order = head.getAttribute("aria-sort") === first ? other : first;
      heads.forEach((each) => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", order);
      sort(table, place, order === "ascending" ? 1 : -1, Boolean(head.dataset.better));
    });
  });
}

function sort(table, place, sign, numeric) {
  const body = table.tBodies[0];
  const key = (row) => {
    const cell = row.cells[place];
    if (!numeric) return cell.textContent.trim();
    return cell.dataset.v === undefined ? null : Number(cell.dataset.v);
  };
  const rows = [...body.rows].map((row) => [key(row), row]);
  rows.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null);
    if (!numeric) return sign * collator.compare(a, b);
    return a === b ? 0 : sign * (a < b ? -1 : 1);
  });
  body.append(...rows.map(([, row]) => row));
}

function filter(form) {
  const tables = [...document.querySelectorAll(`table[data-filtered="${form.dataset.filters}"]`)];
  const state = form.querySelector("output");
  const matches = (text, wanted) =>
    wanted.toLowerCase().split(/\s+/).filter(Boolean).every((word) => text.toLowerCase().includes(word));
  const apply = () => {
    const { rows, columns, controls } = form.elements;
    let shown = 0;
    let all = 0;
    for (const table of tables) {
      for (const row of table.tBodies[0].rows) {
        const control = "control" in row.dataset;
        row.hidden = (control && !controls.checked) || (!control && !matches(row.cells[0].textContent, rows.value));
        if (table === tables[0] && !control) {
          all += 1;
          shown += !row.hidden;
        }
      }
      const heads = [...table.tHead.rows[0].cells];
      const hidden = heads.map((head) => "task" in head.dataset && columns && !matches(head.textContent, columns.value));
      for (const row of table.rows) [...row.cells].forEach((cell, place) => { cell.hidden = hidden[place]; });
    }
    const methods = all === 1 ? "method" : "methods";
    state.textContent = shown === all ? `${all} ${methods}` : `${shown} of ${all} ${methods}`;
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  apply();
}

function draw(figure) {
  const plot = JSON.parse(document.getElementById(figure.dataset.plot).textContent);
  const style = getComputedStyle(document.documentElement);
  const [ink, line] = ["--ink", "--line"].map((name) => style.getPropertyValue(name).trim());
  Object.assign(plot.layout, { paper_bgcolor: "transparent", plot_bgcolor: "transparent" });
  plot.layout.font = { ...plot.layout.font, color: ink, family: getComputedStyle(document.body).fontFamily };
  plot.layout.hoverlabel = { font: { size: 13 } };
  if (figure.clientWidth < 520) narrow(plot.layout);
  for (const axis of ["xaxis", "yaxis"]) Object.assign(plot.layout[axis], { gridcolor: line, linecolor: line });
  Plotly.newPlot(figure.querySelector(".canvas"), plot.data, plot.layout, { displayModeBar: false, responsive: true });
}

function narrow(layout) {
  // On a phone the names of methods must leave room for the figure; pointing tells them whole.
  const cut = (text) => (text.length > 13 ? `${text.slice(0, 12)}…` : text);
  layout.font.size = 11;
  for (const axis of [layout.xaxis, layout.yaxis]) if (axis.title) axis.title.font = { size: 11 };
  if (!layout.xaxis.tickvals) Object.assign(layout.xaxis, { nticks: 5, tickangle: 0 });
  const names = layout.yaxis.categoryarray;
  if (names) Object.assign(layout.yaxis, { tickmode: "array", tickvals: names, ticktext: names.map(cut) });
}

function save(figure) {
  const button = figure.querySelector(".save");
  button.hidden = false;
  button.addEventListener("click", () =>
    Plotly.downloadImage(figure.querySelector(".canvas"), { format: "svg", filename: figure.dataset.plot, width: 700, height: figure.querySelector(".canvas").clientHeight }));
}

// On paper every plot is drawn, also in folded parts, four next to each other.
const PAPER = 470;

function printing(figures) {
  const folded = () => [...document.querySelectorAll("details:not([open])")].filter((part) => part.querySelector("figure[data-plot]"));
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = folded();
    opened.forEach((part) => { part.open = true; });
    for (const figure of figures) {
      const canvas = figure.querySelector(".canvas");
      canvas.style.width = `${PAPER}px`;
      if (!canvas.matches(".js-plotly-plot")) draw(figure);
      Plotly.relayout(canvas, { width: PAPER });
    }
  });
  addEventListener("afterprint", () => {
    opened.forEach((part) => { part.open = false; });
    for (const figure of figures) {
      const canvas = figure.querySelector(".canvas");
      canvas.style.width = "";
      Plotly.relayout(canvas, { width: null, autosize: true });
    }
  });
}

function plots() {
  const figures = [...document.querySelectorAll("figure[data-plot]")];
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting) {
        seen.unobserve(target);
        draw(target);
      }
    }
  }, { rootMargin: "800px" });
  figures.forEach((figure) => seen.observe(figure));
  figures.forEach(save);
  printing(figures);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    figures.filter((figure) => figure.querySelector(".js-plotly-plot")).forEach(draw);
  });
}

function viewer(box) {
  const form = box.querySelector("form");
  const { layer, subject, slice } = form.elements;
  const buttons = [...box.querySelectorAll("[data-layer]")];
  const [width, height] = [Number(box.dataset.width), Number(box.dataset.height)];
  const panels = Object.fromEntries([...box.querySelectorAll("[data-panel]")].map((each) => [each.dataset.panel, each]));
  const show = (panel, address, words) => {
    const image = panel.firstElementChild;
    panel.style.aspectRatio = `${width} / ${height}`;
    if (image.getAttribute("src") !== address) image.src = address;
    image.style.width = `${slice.options.length * 100}%`;
    image.style.transform =
      `translate(${(-slice.selectedIndex * 100) / slice.options.length}%, ${(-subject.selectedIndex * 100) / subject.options.length}%)`;
    panel.setAttribute("aria-label", `${words}, subject ${subject.selectedOptions[0].text}, ${slice.selectedOptions[0].text}`);
  };
  const render = (place) => {
    const button = buttons[place];
    const name = button.textContent;
    form.elements.name.textContent = name;
    layer.setAttribute("aria-valuetext", name);
    buttons.forEach((each, i) => each.setAttribute("aria-pressed", i === place));
    show(panels.source, buttons[0].dataset.image, "source");
    show(panels.shown, button.dataset.image, name);
    panels.shown.nextElementSibling.textContent = name;
    show(panels.reference, buttons.at(-1).dataset.image, buttons.at(-1).textContent);
    const { difference } = button.dataset;
    panels.difference.firstElementChild.hidden = !difference;
    if (difference) show(panels.difference, difference, `difference of ${name}`);
    else panels.difference.setAttribute("aria-label", "no difference to show");
  };
  const now = () => render(Number(layer.value));
  box.classList.add("live");
  form.addEventListener("input", now);
  form.addEventListener("submit", (event) => event.preventDefault());
  buttons.forEach((button, place) => {
    new Image().src = button.dataset.image;
    button.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse") render(place); });
    button.addEventListener("pointerleave", now);
    button.addEventListener("click", () => { layer.value = place; now(); });
  });
  now();
}

// Shows that a table has more columns to the right.
function more(box) {
  const inner = box.firstElementChild;
  const update = () => box.toggleAttribute("data-more", inner.scrollWidth - inner.clientWidth - inner.scrollLeft > 4);
  inner.addEventListener("scroll", update, { passive: true });
  new ResizeObserver(update).observe(inner);
  update();
}

function reveal() {
  // A link to a folded part opens it.
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) target.open = true;
}

addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("table.sortable").forEach(sortable);
  document.querySelectorAll("form[data-filters]").forEach(filter);
  document.querySelectorAll(".viewer").forEach(viewer);
  document.querySelectorAll(".sideways").forEach(more);
  if (window.Plotly) plots();
  addEventListener("hashchange", reveal);
  reveal();
});
