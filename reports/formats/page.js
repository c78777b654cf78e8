"use strict";
// Sorts tables by a click on a column, opens folded parts for links and for paper, and marks the section in view.

const text = (cell) => [...cell.childNodes].filter((node) => node.nodeName !== "SUP").map((node) => node.textContent).join("").trim();

// A number as printed (".858", "<.001", "1,234", "28/30"), or null.
const number = (shown) => {
  const found = /^<?(-?[\d,]*\.?\d+)(\/\d+)?$/.exec(shown);
  return found ? Number(found[1].replaceAll(",", "")) : null;
};

// Numbers come before other texts.
const compare = (a, b) => {
  const [x, y] = [number(a), number(b)];
  if (x !== null && y !== null) return x - y;
  if (x !== null || y !== null) return x !== null ? -1 : 1;
  return a.localeCompare(b, "en", {numeric: true});
};

// Rows without a value stay at the end, whatever the direction.
const sorted = (rows, column, sign) => {
  const given = rows.map((row) => [text(row.cells[column]), row]);
  const blank = ([shown]) => shown === "" || shown === "–";
  return [...given.filter((one) => !blank(one)).sort((a, b) => sign * compare(a[0], b[0])), ...given.filter(blank)];
};

for (const table of document.querySelectorAll("table")) {
  const [body, heads, rows] = [table.tBodies[0], [...table.tHead.rows[0].cells], [...table.tBodies[0].rows]];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const turns = head.classList.contains("number") ? ["descending", "ascending", null] : ["ascending", "descending", null];
      const next = turns[(turns.indexOf(head.getAttribute("aria-sort")) + 1) % 3];
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      if (next) head.setAttribute("aria-sort", next);
      body.append(...(next ? sorted(rows, column, next === "ascending" ? 1 : -1).map(([, row]) => row) : rows));
    });
  });
}

const reveal = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let node = target; node; node = node.parentElement) if (node.nodeName === "DETAILS") node.open = true;
  target?.scrollIntoView();
};
addEventListener("hashchange", reveal);
if (location.hash) reveal();

let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not([open])")];
  opened.forEach((one) => { one.open = true; });
});
addEventListener("afterprint", () => opened.forEach((one) => { one.open = false; }));

const links = new Map([...document.querySelectorAll(".contents a")].map((link) => [link.hash.slice(1), link]));
const seen = new Set();
const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) entry.isIntersecting ? seen.add(entry.target.id) : seen.delete(entry.target.id);
  const here = [...links.keys()].find((id) => seen.has(id));
  links.forEach((link, id) => link.classList.toggle("here", id === here));
  const link = links.get(here);
  if (link) link.parentElement.scrollTo({left: link.offsetLeft - 16});
}, {rootMargin: "-10% 0px -60% 0px"});
document.querySelectorAll("header[id], section[id]").forEach((part) => watcher.observe(part));
