"use strict";
// Compares two variants of a study frame by frame: the script of compare.html.
// A page opened as a file may load scripts and images but read nothing else, so data comes as scripts: each calls
// addData. The address says what is shown: a choice changes the part after "#", and `show` reads it from there.

const REMEDY = "Copy the whole folder of the report.";
const data = new Map(); // name → what a script brought
const requests = new Map(); // name → promise of it
const made = new Map(); // id of an element → what its content was last made from
let view = null; // what is shown; null until the first data is there
let turns = 0; // number of the latest request to show something; older ones are dropped
let saving = 0; // timer that writes the frame into the address

const addData = (name, value) => data.set(name, value);
const study = () => data.get("study");
const fails = (value) => value !== null && value <= study().threshold;
const address = (path) => `compare/${path.split("/").map(encodeURIComponent).join("/")}`;
const isPicture = (text) => /^(data:|compare\/)/.test(text);
const get = (id) => document.getElementById(id);
const last = (values) => values[values.length - 1];
const upTo = (count) => Array.from({ length: count }, (_, index) => String(index + 1));

function load(name) {
  if (!requests.has(name)) {
    requests.set(name, new Promise((done, fail) => {
      const script = document.createElement("script");
      script.src = address(`${name}.js`);
      script.onload = () => done(data.get(name));
      script.onerror = () => fail(new Error(`compare/${name}.js is missing. ${REMEDY}`));
      document.head.append(script);
    }));
  }
  return requests.get(name);
}

async function decode(url) {
  const image = new Image();
  image.src = url;
  await image.decode().catch(() => {
    throw new Error(`${url.startsWith("data:") ? "A mask" : url} is missing or damaged. ${REMEDY}`);
  });
}

function element(tag, properties, ...inside) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...inside);
  return node;
}

function svg(tag, attributes) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

/** J in thousandths as text: `.858`, `−.012`, `–` for none. */
function number(value, sign = false) {
  if (value === null) return "–";
  const text = (Math.abs(value) / 1000).toFixed(3).replace(/^0/, "");
  return (value < 0 ? "−" : sign && value > 0 ? "+" : "") + text;
}

function problem(text) {
  get("problem").textContent = text;
  get("problem").hidden = !text;
  get("problem").className = "alert";
}

// The address

const wanted = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));

function link(changes = {}) {
  const { benchmark, a, b, seed, sequence, object, frame, clip } = view;
  const shown = { benchmark: benchmark.name, a, b, seed, sequence, object, frame: clip.frames[frame], ...changes };
  return `#${new URLSearchParams(Object.entries(shown).filter(([, value]) => value !== null))}`;
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

/** Show another frame of the sequence, without a new entry: a slider would fill the history. */
function seek(frame) {
  view.frame = Math.max(0, Math.min(view.clip.frames.length - 1, frame));
  problem("");
  drawFrame();
  clearTimeout(saving);
  saving = setTimeout(saveFrame, 300); // browsers limit how often an address may change
}

// What is shown

/** Return the number of the cell of a variant: that of the seed, or of submitted masks, which have no seed. */
function cellOf(benchmark, variant, seed) {
  return benchmark.cells.findIndex((cell) => cell.variant === variant && (cell.seed === null || cell.seed === seed));
}

function difference(sequence, cells) {
  const [ours, theirs] = cells.map((cell) => sequence.J[cell] ?? null);
  return ours === null || theirs === null ? null : ours - theirs;
}

/** Return the sequences by A − B, the best for A first, those without a difference last. */
function ranked(benchmark, cells) {
  const key = (sequence) => difference(sequence, cells) ?? -2000;
  return [...benchmark.sequences].sort((one, other) => key(other) - key(one));
}

/** Return J of every frame, in thousandths: the mean over the objects, or of one of them. */
function curve(clip, cell, object) {
  const rows = clip.J[cell] ?? [];
  const chosen = object ? rows.slice(object - 1, object) : rows;
  return clip.frames.map((_, index) => {
    const values = chosen.map((row) => row[index]).filter((value) => value !== null);
    return values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null;
  });
}

/** Show what an address names. What it lacks is chosen; what the report does not hold is chosen too, and said. */
async function show(asked) {
  const turn = ++turns;
  const unknown = [];
  const pick = (what, values, standard) => {
    if (asked[what] === undefined || values.includes(asked[what])) return asked[what] ?? standard;
    unknown.push(`${what} ${asked[what]}`);
    return standard;
  };
  const names = study().benchmarks.map((one) => one.name);
  const benchmark = study().benchmarks[names.indexOf(pick("benchmark", names, names[0]))];
  const seeds = [...new Set(benchmark.cells.map((cell) => cell.seed))].filter((seed) => seed !== null);
  const chosen = pick("seed", seeds.map(String), seeds.length ? String(seeds[0]) : null);
  const seed = chosen === null ? null : Number(chosen);
  const variants = benchmark.variants.map((one) => one.name);
  const [a, b] = ["a", "b"].map((side, turn) => pick(side, variants, benchmark.pair[turn]));
  const cells = [a, b].map((variant) => cellOf(benchmark, variant, seed));
  const order = ranked(benchmark, cells);
  const sequence = pick("sequence", order.map((one) => one.name), order[0].name);
  const path = `${benchmark.name}/${sequence}`;
  const clip = await load(`${path}/frames`).catch((error) => problem(error.message));
  if (!clip || turn !== turns) return;
  const objects = Math.max(...clip.J.map((rows) => rows.length));
  const object = pick("object", upTo(objects), null);
  const curves = cells.map((cell) => curve(clip, cell, Number(object)));
  const frame = clip.frames.indexOf(pick("frame", clip.frames, clip.frames[farthest(curves)]));
  view = { benchmark, seeds, seed, a, b, cells, order, sequence, path, clip, objects, object, curves, frame };
  draw();
  problem(unknown.length ? `This report does not have ${unknown.join(", ")}.` : "");
  saveFrame();
}

/** Return the frame where the curves differ most; the first one if they never do. */
function farthest([ours, theirs]) {
  const both = (index) => ours[index] !== null && theirs[index] !== null;
  const gaps = ours.map((value, index) => (both(index) ? Math.abs(value - theirs[index]) : 0));
  return gaps.indexOf(Math.max(...gaps));
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
  get("content").hidden = false; // first, as a hidden list has no places to scroll to
  choices("benchmark", study().benchmarks.map((one) => [one.name, one.title]), benchmark.name);
  const variants = benchmark.variants.map(({ name, title }) => {
    const missing = cellOf(benchmark, name, seed) < 0;
    return [name, missing ? `${title} (no results)` : title, missing];
  });
  choices("a", variants, a);
  choices("b", variants, b);
  choices("seed", seeds.map((one) => [one, one]), seed, seeds.length > 1);
  choices("object", [["", "mean of all"], ...upTo(objects).map((one) => [one, one])], object ?? "", objects > 1);
  get("about").textContent = benchmark.about;
  get("pictures").textContent = benchmark.pictures;
  get("name").textContent = sequence;
  get("slider").max = clip.frames.length - 1;
  get("truth").disabled = !clip.truth;
  for (const box of document.querySelectorAll(".picture")) box.style.aspectRatio = (clip.size ?? [16, 9]).join(" / ");
  remake("legend", objects, () => (objects < 2 ? [] : upTo(objects).flatMap((id) => {
    const chip = element("span", { className: "chip" });
    chip.style.background = study().colors[(id - 1) % study().colors.length];
    return [chip, `object ${id}`];
  })));
  drawList();
  drawCurves();
  drawFrame();
}

function choices(id, options, chosen, shown = true) {
  const option = ([value, textContent, disabled = false]) => element("option", { value, textContent, disabled });
  remake(id, options, () => options.map(option));
  get(id).value = chosen;
  get(id).parentElement.hidden = !shown;
}

function drawList() {
  const { benchmark, cells, order, sequence } = view;
  get("measure").textContent = benchmark.measure;
  remake("list", [benchmark.name, cells], () => order.map((one) => {
    const gap = difference(one, cells);
    const values = cells.map((cell, side) => [number(one.J[cell] ?? null), "ab"[side]]);
    const texts = [[one.name, ""], ...values, [number(gap, true), gap > 0 ? "a" : gap < 0 ? "b" : ""]];
    const inside = texts.map(([textContent, side]) => element("span", { textContent, className: `number ${side}` }));
    const onclick = () => go({ sequence: one.name, object: null, frame: null });
    return element("li", {}, element("button", { type: "button", value: one.name, onclick }, ...inside));
  }));
  for (const button of get("list").querySelectorAll("button")) {
    button.setAttribute("aria-current", button.value === sequence);
  }
  const [list, row] = [get("list"), get("list").querySelector("[aria-current=true]")];
  const [from, to] = [row.offsetTop - list.offsetTop, row.offsetTop - list.offsetTop + row.offsetHeight];
  if (from < list.scrollTop || to > list.scrollTop + list.clientHeight) list.scrollTop = from; // but not the page
}

const across = (frame) => (1000 * (frame + 0.5)) / view.clip.frames.length; // a frame's middle in the drawing
const down = (value) => 190 - 0.18 * value;

function drawCurves() {
  const { path, cells, object, curves, clip } = view;
  const key = [path, cells, object];
  const runs = curves.map((own, side) => runsOf(own, curves[1 - side]));
  const width = 1000 / clip.frames.length;
  const shade = (run, side) => {
    const [from, to] = [across(run[0]) - width / 2, across(last(run)) + width / 2];
    return svg("rect", { class: `only-${"ab"[side]}`, x: from, width: to - from, y: 0, height: 200 });
  };
  remake("curves", key, () => [
    ...runs.flatMap((found, side) => found.map((run) => shade(run, side))),
    ...[0, 500, 1000].map((value) => svg("path", { class: "grid", d: `M0,${down(value)}H1000` })),
    ...curves.map((values, side) => svg("path", { class: "ab"[side], d: lineOf(values) })),
    svg("path", { class: "here", id: "here" }),
  ]);
  for (const [side, found] of runs.entries()) {
    const count = found.flat().length;
    const limit = `with J ≤ ${number(study().threshold)}`;
    get(`count-${"ab"[side]}`).textContent = count ? `${count} frame${count > 1 ? "s" : ""} ${limit}` : "in no frame";
    remake(`only-${"ab"[side]}`, key, () => found.map((run) => {
      const textContent = [...new Set([run[0], last(run)])].map((index) => clip.frames[index]).join("–");
      const onclick = () => go({ frame: clip.frames[run[0]] });
      return element("button", { type: "button", className: "number", textContent, onclick });
    }));
  }
}

/** Return the runs of frames, scored one after another, where one fails and the other does not. */
function runsOf(own, others) {
  const runs = [];
  let goesOn = false;
  own.forEach((value, index) => {
    if (value === null || others[index] === null) return;
    const here = fails(value) && !fails(others[index]);
    if (here && goesOn) last(runs).push(index);
    else if (here) runs.push([index]);
    goesOn = here;
  });
  return runs;
}

function lineOf(values) {
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
  showPictures().catch((error) => {
    problem(error.message);
    for (const image of document.querySelectorAll(".picture img")) image.hidden = true; // they are of another frame
  });
}

/** Show the frame with both masks, all decoded before any is shown, so that a mask never lies on another frame. */
async function showPictures() {
  const shown = view;
  const { clip, frame, path, cells } = view;
  const still = (index) => (clip.size ? address(`${clip.place}/${String(index).padStart(5, "0")}.jpg`) : "");
  const from = async (script) => (script ? (await load(`${path}/${script}`))[frame] : "");
  const truth = await from(clip.truth && get("truth").checked && "truth");
  const masks = await Promise.all(cells.map((cell) => from(clip.masks?.[cell])));
  await Promise.all([still(frame), truth, ...masks].filter(isPicture).map(decode));
  if (shown !== view || frame !== view.frame) return;
  for (const [side, mask] of masks.entries()) {
    const box = get(`pane-${"ab"[side]}`).querySelector(".picture");
    for (const [kind, url] of Object.entries({ frame: still(frame), mask: get("masks").checked ? mask : "", truth })) {
      const image = box.querySelector(`.${kind}`);
      image.hidden = !isPicture(url);
      if (isPicture(url)) image.src = url;
    }
    const absent = cells[side] < 0 ? "no results" : mask || "its masks are not on this machine";
    const reason = !clip.size ? "no pictures of this sequence" : isPicture(mask) ? "" : absent;
    box.querySelector("p").textContent = reason;
    box.querySelector("p").hidden = !reason;
  }
  if (clip.size && frame + 1 < clip.frames.length) new Image().src = still(frame + 1); // for the next step
}

// Start

function start() {
  if (!study()) return; // the page says by itself that something is missing
  document.title = `${study().study}: compare two variants`;
  get("title").textContent = document.title;
  for (const id of ["a", "b", "seed"]) get(id).onchange = (event) => go({ [id]: event.target.value });
  get("object").onchange = (event) => go({ object: event.target.value || null });
  get("benchmark").onchange = (event) => {
    const { a, b } = view;
    const next = study().benchmarks.find((one) => one.name === event.target.value);
    const known = [a, b].every((variant) => next.cells.some((cell) => cell.variant === variant));
    const pair = known ? {} : { a: null, b: null };
    go({ benchmark: next.name, ...pair, seed: null, sequence: null, object: null, frame: null });
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
    const own = event.target.closest("select, input[type=range]"); // they use these keys themselves
    if (!view || !step || own || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    seek(view.frame + step);
  });
  window.addEventListener("hashchange", () => show(wanted()));
  show(wanted());
}

document.addEventListener("DOMContentLoaded", start);
