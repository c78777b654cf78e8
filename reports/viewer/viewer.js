"use strict";
// Compares two variants of a study frame by frame: the script of compare.html.
// A page opened as a file may load scripts and images but read nothing else, so data comes as scripts: each calls
// addData. The address says what is shown: every choice changes the part after "#", and that is what `open` reads.

const data = new Map(); // name → what a script brought
const requests = new Map(); // name → promise of it
const made = new Map(); // name of a part of the page → what it was last made from
let view = null; // what is shown: study entry, cells and frame
let turns = 0; // number of the latest request to show something; older ones are dropped
let saving = 0; // timer that writes the frame into the address

function addData(name, value) {
  data.set(name, value);
}

function load(name) {
  if (!requests.has(name)) {
    requests.set(name, new Promise((done, fail) => {
      const script = document.createElement("script");
      script.src = address(`${name}.js`);
      script.onload = () => done(data.get(name));
      script.onerror = () => fail(new Error(`The file compare/${name}.js is missing. Copy the whole folder of the report.`));
      document.head.append(script);
    }));
  }
  return requests.get(name);
}

const address = (path) => `compare/${path.split("/").map(encodeURIComponent).join("/")}`;
const get = (id) => document.getElementById(id);
const last = (values) => values[values.length - 1];

function element(tag, properties = {}, ...inside) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...inside);
  return node;
}

/** J in thousandths as text: `.858`, `−.012`, `–` for none. */
function number(value, sign = false) {
  if (value === null) return "–";
  const text = (Math.abs(value) / 1000).toFixed(3).replace(/^0/, "");
  return (value < 0 ? "−" : sign && value > 0 ? "+" : "") + text;
}

// The address

function wanted() {
  return Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
}

function link(changes = {}) {
  const { benchmark, a, b, seed, sequence, object, frame, clip } = view;
  const shown = { benchmark: benchmark.name, a, b, seed, sequence, object, frame: clip.frames[frame], ...changes };
  const kept = Object.entries(shown).filter(([, value]) => value !== null && value !== undefined);
  return `#${new URLSearchParams(kept)}`;
}

/** Show something else, as a new entry of the history. */
function go(changes) {
  saveFrame();
  location.hash = link(changes);
}

function saveFrame() {
  clearTimeout(saving);
  if (location.hash !== link()) history.replaceState(null, "", link());
}

/** Show another frame of the sequence, without a new entry: the slider would fill the history. */
function seek(frame) {
  if (!view) return;
  view.frame = Math.max(0, Math.min(view.clip.frames.length - 1, frame));
  drawFrame();
  clearTimeout(saving);
  saving = setTimeout(saveFrame, 300); // browsers limit how often an address may change
}

// What is shown

/** Return the number of the cell of a variant: that of the seed, or of submitted masks, which have no seed. */
function cellOf(benchmark, variant, seed) {
  return benchmark.cells.findIndex((cell) => cell.variant === variant && (cell.seed === null || cell.seed === seed));
}

function difference(sequence, a, b) {
  const [ours, theirs] = [sequence.J[a] ?? null, sequence.J[b] ?? null];
  return ours === null || theirs === null ? null : ours - theirs;
}

/** Return the sequences by A − B, the best for A first, those without a difference last. */
function ranked(benchmark, a, b) {
  const key = (sequence) => difference(sequence, a, b) ?? -Infinity;
  return [...benchmark.sequences].sort((one, other) => key(other) - key(one) || 0);
}

/** Return J of every frame, in thousandths: the mean over the objects, or of one of them. */
function curve(clip, cell, object) {
  const rows = clip.J[cell] ?? [];
  const chosen = object ? rows.slice(object - 1, object) : rows;
  return clip.frames.map((_, index) => {
    const values = chosen.map((row) => row[index]).filter((value) => value !== null);
    if (!values.length) return null;
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    return mean > study().threshold ? Math.max(Math.round(mean), study().threshold + 1) : Math.round(mean);
  });
}

const study = () => data.get("study");
const fails = (value) => value !== null && value <= study().threshold;

/** Show what an address names. What it lacks is chosen; what the report does not hold is chosen too, and said. */
async function open(asked) {
  const turn = ++turns;
  const unknown = [];
  const pick = (what, values, standard) => {
    if (asked[what] === undefined || values.includes(asked[what])) return asked[what] ?? standard;
    unknown.push(`${what} ${asked[what]}`);
    return standard;
  };
  const names = study().benchmarks.map((one) => one.name);
  const benchmark = study().benchmarks[names.indexOf(pick("benchmark", names, names[0]))];
  const seeds = [...new Set(benchmark.cells.map((cell) => cell.seed).filter((seed) => seed !== null))].sort((x, y) => x - y);
  const chosen = pick("seed", seeds.map(String), seeds.length ? String(seeds[0]) : null);
  const seed = chosen === null ? null : Number(chosen);
  const variants = benchmark.variants.map((one) => one.name);
  const [a, b] = ["a", "b"].map((side, turn) => pick(side, variants, benchmark.pair[turn]));
  const [cellA, cellB] = [a, b].map((variant) => cellOf(benchmark, variant, seed));
  const order = ranked(benchmark, cellA, cellB);
  const sequence = pick("sequence", order.map((one) => one.name), order[0].name);
  const path = `${benchmark.name}/${sequence}`;
  let clip;
  try {
    clip = await load(`${path}/frames`);
  } catch (error) {
    return problem(error.message);
  }
  if (turn !== turns) return undefined;
  const objects = Math.max(...clip.J.map((rows) => rows.length));
  const object = pick("object", Array.from({ length: objects }, (_, index) => String(index + 1)), "");
  const curves = [cellA, cellB].map((cell) => curve(clip, cell, Number(object)));
  const frame = clip.frames.indexOf(pick("frame", clip.frames, clip.frames[farthest(curves)]));
  view = { benchmark, seeds, seed, a, b, cellA, cellB, order, sequence, path, clip, objects, object: object || null, curves, frame };
  draw();
  problem(unknown.length ? `This report does not have ${unknown.join(", ")}.` : "");
  return saveFrame();
}

/** Return the frame where the curves differ most; the first one if they never do. */
function farthest([ours, theirs]) {
  const gaps = ours.map((value, index) => (value === null || theirs[index] === null ? 0 : Math.abs(value - theirs[index])));
  return gaps.indexOf(Math.max(...gaps));
}

function problem(text) {
  get("problem").textContent = text;
  get("problem").hidden = !text;
}

// Drawing

/** Make a part of the page anew if what it is made from has changed; else it keeps its focus and its scrolling. */
function remake(id, key, make) {
  const text = JSON.stringify(key);
  if (made.get(id) === text) return;
  made.set(id, text);
  get(id).replaceChildren(...make());
}

function draw() {
  const { benchmark, seeds, seed, a, b, objects, object, sequence, clip } = view;
  choices("benchmark", study().benchmarks.map((one) => [one.name, one.title]), benchmark.name);
  const variants = benchmark.variants.map(({ name, title }) => {
    const missing = cellOf(benchmark, name, seed) < 0;
    return [name, missing ? `${title} (no results)` : title, missing];
  });
  choices("a", variants, a);
  choices("b", variants, b);
  choices("seed", seeds.map((one) => [one, one]), seed, seeds.length > 1);
  const numbers = Array.from({ length: objects }, (_, index) => [index + 1, index + 1]);
  choices("object", [["", "mean of all"], ...numbers], object ?? "", objects > 1);
  get("about").textContent = benchmark.about;
  get("pictures").textContent = benchmark.pictures;
  get("name").textContent = sequence;
  get("slider").max = clip.frames.length - 1;
  get("truth").disabled = !clip.truth;
  const colors = study().colors;
  remake("legend", objects, () => (objects < 2 ? [] : numbers.flatMap(([id]) => {
    const chip = element("span", { className: "chip" });
    chip.style.background = colors[(id - 1) % colors.length];
    return [chip, `object ${id}`];
  })));
  drawList();
  drawCurves();
  drawFrame();
  get("content").hidden = false;
}

function choices(id, options, chosen, shown = true) {
  remake(id, options, () => options.map(([value, text, disabled]) => element("option", { value, textContent: text, disabled: !!disabled })));
  get(id).value = chosen;
  get(id).parentElement.hidden = !shown;
}

function drawList() {
  const { benchmark, cellA, cellB, order, sequence } = view;
  remake("list", [benchmark.name, cellA, cellB], () => order.map((one) => {
    const gap = difference(one, cellA, cellB);
    const cell = (text, kind) => element("span", { className: `number ${kind}`, textContent: text });
    const button = element("button", { type: "button", onclick: () => go({ sequence: one.name, frame: null, object: null }) },
      element("span", { textContent: one.name }), cell(number(one.J[cellA] ?? null), "a"), cell(number(one.J[cellB] ?? null), "b"),
      cell(number(gap, true), gap > 0 ? "a" : gap < 0 ? "b" : ""));
    button.dataset.name = one.name;
    return element("li", {}, button);
  }));
  for (const button of get("list").querySelectorAll("button")) {
    button.setAttribute("aria-current", button.dataset.name === sequence);
  }
}

function svg(tag, attributes) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

const across = (frame) => (1000 * (frame + 0.5)) / view.clip.frames.length; // a frame's middle in the drawing
const down = (value) => 190 - 0.18 * value;

function drawCurves() {
  const { path, cellA, cellB, object, curves, clip } = view;
  const runs = curves.map((own, side) => runsOf(own, curves[1 - side]));
  const width = 1000 / clip.frames.length;
  remake("curves", [path, cellA, cellB, object], () => [
    ...runs.flatMap((found, side) => found.map((run) => svg("rect", {
      class: `only-${"ab"[side]}`, x: across(run[0]) - width / 2, y: 0, width: across(last(run)) - across(run[0]) + width, height: 200,
    }))),
    ...[0, 500, 1000].map((value) => svg("path", { class: "grid", d: `M0,${down(value)}H1000` })),
    ...curves.map((values, side) => svg("path", { class: "ab"[side], d: outlineOf(values) })),
    svg("path", { class: "here", id: "here" }),
  ]);
  for (const [side, found] of runs.entries()) {
    const count = found.flat().length;
    get(`count-${"ab"[side]}`).textContent = count ? `${count} frame${count > 1 ? "s" : ""} with J ≤ ${number(study().threshold)}` : "in no frame";
    remake(`only-${"ab"[side]}`, [path, cellA, cellB, object], () => found.map((run) => {
      const ends = run.length > 1 ? [run[0], last(run)] : run;
      const text = ends.map((index) => clip.frames[index]).join("–");
      return element("button", { type: "button", className: "number", textContent: text, onclick: () => go({ frame: clip.frames[run[0]] }) });
    }));
  }
}

/** Return the runs of frames, scored one after another, where one fails and the other does not. */
function runsOf(own, others) {
  const runs = [];
  let open = false;
  own.forEach((value, index) => {
    if (value === null || others[index] === null) return;
    const here = fails(value) && !fails(others[index]);
    if (here && open) last(runs).push(index);
    else if (here) runs.push([index]);
    open = here;
  });
  return runs;
}

function outlineOf(values) {
  const points = values.flatMap((value, index) => (value === null ? [] : [`${across(index)},${down(value)}`]));
  return points.length ? `M${points.join("L")}${points.length < 2 ? "h1" : ""}` : "";
}

function drawFrame() {
  const { clip, frame, curves, a, b, benchmark } = view;
  get("slider").value = frame;
  get("slider").setAttribute("aria-valuetext", `frame ${clip.frames[frame]}`);
  get("where").textContent = `Frame ${clip.frames[frame]} (${frame + 1} of ${clip.frames.length})`;
  get("here").setAttribute("d", `M${across(frame)},0V200`);
  for (const [side, variant] of [a, b].entries()) {
    const value = curves[side][frame];
    const { title } = benchmark.variants.find((one) => one.name === variant);
    const score = value === null ? "not scored" : `J ${number(value)}${fails(value) ? ", fails" : ""}`;
    get(`pane-${"ab"[side]}`).querySelector("figcaption").replaceChildren(
      element("strong", { className: "ab"[side], textContent: `${"AB"[side]}: ${title}` }), ` ${score}`);
  }
  showPictures().catch((error) => problem(error.message));
}

/** Show the frame with both masks, all decoded before any is shown, so that a mask never lies on another frame. */
async function showPictures() {
  const { clip, frame, path, cellA, cellB } = view;
  const shown = view;
  const current = () => shown === view && frame === view.frame;
  const stills = clip.size ? await picture(address(`${path}/${String(frame).padStart(5, "0")}.jpg`)) : null;
  const outlines = clip.truth && get("truth").checked ? (await load(`${path}/truth`))[frame] : "";
  const masks = await Promise.all([cellA, cellB].map(async (cell) => {
    const script = clip.masks?.[cell];
    return script ? (await load(`${path}/${script}`))[frame] : "";
  }));
  await Promise.all([outlines, ...masks].map((url) => (url.startsWith("data:") ? picture(url) : null)));
  if (!current()) return;
  for (const [side, mask] of masks.entries()) {
    const box = get(`pane-${"ab"[side]}`).querySelector(".picture");
    const [width, height] = clip.size ?? [16, 9];
    box.style.aspectRatio = `${width} / ${height}`;
    const place = (kind, url) => {
      const image = box.querySelector(`.${kind}`);
      image.hidden = !url.startsWith("data:") && kind !== "frame" || !url;
      if (!image.hidden) image.src = url;
    };
    place("frame", stills ?? "");
    place("mask", get("masks").checked ? mask : "");
    place("truth", outlines);
    const reason = !clip.size ? "no pictures of this sequence" : mask.startsWith("data:") ? "" : mask || "its masks are not on this machine";
    box.querySelector("p").textContent = reason;
    box.querySelector("p").hidden = !reason;
  }
  const next = Math.min(frame + 1, clip.frames.length - 1);
  if (clip.size) picture(address(`${path}/${String(next).padStart(5, "0")}.jpg`)).catch(() => {}); // for the next step
}

async function picture(url) {
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
  } catch {
    throw new Error(url.startsWith("data:") ? "A mask cannot be shown." : `The file ${url} is missing or damaged.`);
  }
  return url;
}

// Start

function start() {
  if (!study()) return problem("The folder compare/ is missing next to this page. Copy the whole folder of the report.");
  document.title = `${study().study}: compare two variants`;
  get("title").textContent = document.title;
  for (const id of ["a", "b", "seed"]) get(id).onchange = (event) => go({ [id]: event.target.value });
  get("object").onchange = (event) => go({ object: event.target.value || null });
  get("benchmark").onchange = (event) => {
    saveFrame();
    const { a, b } = view;
    const next = study().benchmarks.find((one) => one.name === event.target.value);
    const known = (variant) => next.cells.some((cell) => cell.variant === variant);
    location.hash = `#${new URLSearchParams({ benchmark: next.name, ...(known(a) && known(b) ? { a, b } : {}) })}`;
  };
  get("slider").oninput = (event) => seek(Number(event.target.value));
  get("back").onclick = () => seek(view.frame - 1);
  get("next").onclick = () => seek(view.frame + 1);
  for (const id of ["masks", "truth"]) get(id).onchange = drawFrame;
  get("curves").onclick = (event) => {
    const box = get("curves").getBoundingClientRect();
    seek(Math.floor(((event.clientX - box.left) / box.width) * view.clip.frames.length));
  };
  document.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey || event.target.closest("select, input[type=range]")) return;
    event.preventDefault();
    seek(view.frame + step);
  });
  window.addEventListener("hashchange", () => open(wanted()));
  return open(wanted());
}

document.addEventListener("DOMContentLoaded", start);
