"use strict";
(() => {
  const root = document.documentElement;
  const panel = document.getElementById("details");
  const cells = [...document.querySelectorAll(".cell")];
  const search = document.getElementById("search");
  const found = document.getElementById("found");
  let opener = null;
  root.classList.add("js");

  const close = () => {
    panel.classList.remove("open");
    for (const cell of cells) cell.removeAttribute("aria-current");
    if (location.hash) history.replaceState(null, "", location.pathname + location.search);
    if (opener) opener.focus();
    opener = null;
  };

  const open = (id, cell) => {
    const detail = document.getElementById(id);
    if (!detail || !detail.classList.contains("detail")) return;
    for (const other of panel.querySelectorAll(".detail.current")) other.classList.remove("current");
    for (const other of cells) other.removeAttribute("aria-current");
    detail.classList.add("current");
    panel.classList.add("open");
    requestAnimationFrame(() => { panel.scrollTop = 0; });
    opener = cell || cells.find((one) => one.hash === "#" + id) || null;
    if (opener) {
      opener.setAttribute("aria-current", "true");
      opener.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
    detail.querySelector("h3").focus({ preventScroll: true });
  };

  for (const cell of cells) {
    cell.addEventListener("click", (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      history.replaceState(null, "", cell.hash);
      open(cell.hash.slice(1), cell);
    });
  }

  const step = (cell, column, row) => {
    const shown = [...document.querySelectorAll(".column")].map((one) =>
      [...one.querySelectorAll("li:not([hidden]) > .cell")]).filter((one) => one.length);
    const at = shown.findIndex((one) => one.includes(cell));
    const next = shown[(at + column + shown.length) % shown.length];
    const index = shown[at].indexOf(cell) + row;
    next[Math.max(0, Math.min(next.length - 1, index))].focus();
  };

  const moves = { ArrowDown: [0, 1], ArrowUp: [0, -1], ArrowRight: [1, 0], ArrowLeft: [-1, 0] };
  document.addEventListener("keydown", (event) => {
    const cell = document.activeElement && document.activeElement.closest(".cell");
    if (event.key === "Escape" && panel.classList.contains("open")) close();
    else if (cell && moves[event.key] && !event.altKey && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      step(cell, ...moves[event.key]);
    }
  });
  panel.querySelector(".close").addEventListener("click", close);

  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const cell of cells) {
      const hit = words.every((word) => cell.dataset.text.includes(word));
      cell.parentElement.hidden = !hit;
      count += hit;
    }
    found.textContent = words.length ? `${count} of ${cells.length} cells` : "";
  };
  search.addEventListener("input", filter);

  document.getElementById("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
  document.getElementById("print").addEventListener("click", () => print());
  if (location.hash.length > 1) {
    open(decodeURIComponent(location.hash.slice(1)));
    addEventListener("load", () => { panel.scrollTop = 0; });
  }
})();
