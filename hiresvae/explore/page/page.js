// The page of `hiresvae explore`: what its knobs say goes to the server, pictures come back.
"use strict";

const COUNT = 12; // samples in the grid
const FRAMES = 17; // pictures of the way from A to B
const REACH = 3; // of a slider, to both sides

const at = (id) => document.getElementById(id);
const state = { first: 0, a: { sample: 0 }, b: { sample: 1 }, frames: [] };
const names = { a: "sample 0", b: "sample 1" };
const sliders = { axes: [], attributes: new Map() };
let facts;
let pending = 0;

function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

const say = (words) => { at("words").textContent = words; };

async function ask(path, body) {
  const form = body === undefined ? {} : { method: "POST", body };
  let reply;
  try {
    reply = await fetch(path, form);
  } catch {
    throw new Error("The server does not answer; is it still running in the terminal?");
  }
  const answer = await reply.json();
  if (!reply.ok) throw new Error(answer.error);
  return answer;
}

const wish = async (path, words) => (await ask(path, JSON.stringify(words))).pictures;

// Runs one request at a time; of those wished for meanwhile only the last matters.
function channel(work) {
  let running = false;
  let again = false;
  return async function run() {
    if (running) { again = true; return; }
    running = true;
    pending += 1;
    document.documentElement.setAttribute("aria-busy", "true");
    do {
      again = false;
      try { await work(); } catch (error) { say(error.message); }
    } while (again);
    running = false;
    pending -= 1;
    if (!pending) document.documentElement.setAttribute("aria-busy", "false");
  };
}

const drawing = () => ({
  temperature: Number(at("temperature").value), label: at("label").value || null,
});

function knobs() {
  const attributes = {};
  for (const [name, slider] of sliders.attributes) {
    if (Number(slider.value)) attributes[name] = Number(slider.value);
  }
  return { ...drawing(), axes: sliders.axes.map((slider) => Number(slider.value)), attributes };
}

const seeds = () => Array.from({ length: COUNT }, (_, i) => state.first + i);

const detail = () => Number(at("detail").checked);

const showA = channel(async () => {
  const all = { ...knobs(), detail: detail() };
  [at("a-picture").src] = await wish("paint", { pictures: [state.a], knobs: all });
});

function nameA() {
  const own = "beside it as the model sees it";
  const whole = `${names.a} under the sliders, ${own}`;
  const bare = `${names.a} as the model remembers it, ${own}`;
  at("a-name").textContent = at("a-original").hidden ? names.a : at("detail").checked ? whole : bare;
}

const showB = channel(async () => {
  const all = { ...drawing(), detail: detail() };
  [at("b-picture").src] = await wish("paint", { pictures: [state.b], knobs: all });
});

const showGrid = channel(async () => {
  const shown = seeds();
  const pictures = await wish("paint", {
    pictures: shown.map((sample) => ({ sample })), knobs: at("all").checked ? knobs() : drawing(),
  });
  [...at("grid").children].forEach((button, i) => {
    button.value = shown[i];
    button.setAttribute("aria-label", `Sample ${shown[i]}`);
    button.querySelector("img").src = pictures[i];
  });
  mark();
});

const showWay = channel(async () => {
  const ends = { a: state.a, b: state.b, knobs: knobs() };
  const all = { ...ends.knobs, detail: detail() };
  state.frames = await wish("between", { ...ends, knobs: all, steps: FRAMES });
  [at("way-a").src] = state.frames;
  frame();
  if (facts.rungs > 1) {
    const keep = Number(at("keep").value);
    [at("mix-ab").src, at("mix-ba").src] = await wish("mix", { ...ends, keep });
  }
});

function frame() {
  const place = Number(at("share").value);
  const percent = Math.round((100 * place) / (FRAMES - 1));
  at("share").setAttribute("aria-valuetext", `${percent} %`);
  at("way-name").textContent = `${percent} % of the way`;
  if (state.frames.length) at("way").src = state.frames[place];
}

// Seventeen pictures are worth waiting until a slider rests.
let resting;
function restWay() {
  clearTimeout(resting);
  if (!state.waiting) { state.waiting = true; pending += 1; }
  document.documentElement.setAttribute("aria-busy", "true");
  resting = setTimeout(() => {
    state.waiting = false;
    pending -= 1;
    showWay();
  }, 250);
}

function moved() {
  say("");
  showA();
  if (at("all").checked) showGrid();
  restWay();
}

function drawnAnew() {
  say("");
  at("temperature-value").textContent = Number(at("temperature").value).toFixed(2);
  showA();
  showB();
  showGrid();
  restWay();
}

function mark() {
  for (const button of at("grid").children) {
    const seed = Number(button.value);
    const letters = ["a", "b"].filter((slot) => state[slot].sample === seed).join("");
    button.setAttribute("aria-pressed", String(letters !== ""));
    button.querySelector(".mark").textContent = letters.toUpperCase();
  }
}

function put(slot, picture, name, original) {
  say("");
  state[slot] = picture;
  names[slot] = name;
  if (slot === "a") {
    at("a-original").hidden = !original;
    if (original) at("a-original").src = original;
    nameA();
    showA();
  } else {
    at("b-name").textContent = `B: ${name}`;
    showB();
  }
  at("detail-row").hidden = !(state.a.key || state.b.key);
  mark();
  restWay();
}

async function take(slot, file) {
  if (!file) return;
  if (file.size > facts.most_bytes) {
    say(`${file.name} is gigantic: more than ${facts.most_bytes / 2 ** 20} MiB`);
    return;
  }
  await channel(async () => {
    const { key, picture } = await ask("picture", file);
    put(slot, { key }, file.name, picture);
  })();
}

function save(address, name) {
  make("a", { href: address, download: `${name}.png` }).click();
}

async function saveSheet(addresses, columns, name) {
  const pictures = await Promise.all(addresses.map(async (address) => {
    const image = make("img", { src: address });
    await image.decode();
    return image;
  }));
  const side = facts.size;
  const sheet = make("canvas", {
    width: columns * (side + 2) - 2, height: Math.ceil(pictures.length / columns) * (side + 2) - 2,
  });
  const pen = sheet.getContext("2d");
  pen.fillStyle = "white";
  pen.fillRect(0, 0, sheet.width, sheet.height);
  pictures.forEach((image, i) => {
    pen.drawImage(image, (i % columns) * (side + 2), Math.floor(i / columns) * (side + 2));
  });
  const blob = await new Promise((done) => { sheet.toBlob(done, "image/png"); });
  const address = URL.createObjectURL(blob);
  save(address, name);
  setTimeout(() => URL.revokeObjectURL(address), 60000);
}

const plain = (slot) => names[slot].replace(/\.[^.]*$/, "").replace(/[^\w-]+/g, "_");

function knob(id, title, ends) {
  const slider = make("input", {
    type: "range", id, min: -REACH, max: REACH, step: 0.1, value: 0,
  });
  const value = make("output", { textContent: "0.0" });
  value.htmlFor.add(id);
  const top = make("span", { className: "top" }, make("span", { textContent: title }), value);
  const label = make("label", { htmlFor: id }, top, slider);
  const pictures = (ends || []).map((src) => make("img", { src, alt: "" }));
  const whole = make("div", { className: pictures.length ? "knob" : "knob bare" });
  whole.append(...(pictures.length ? [pictures[0], label, pictures[1]] : [label]));
  slider.addEventListener("input", () => {
    value.textContent = Number(slider.value).toFixed(1);
    moved();
  });
  return [whole, slider];
}

function furnish() {
  document.title = `${facts.name} – hiresvae explore`;
  at("name").textContent = facts.name;
  const rungs = facts.rungs === 1 ? "1 rung" : `${facts.rungs} rungs`;
  at("facts").textContent =
    `${facts.size} × ${facts.size} px, ${rungs}, ${facts.images_seen.toLocaleString("en")} images seen`;
  facts.axes.forEach((axis, i) => {
    const share = `${i + 1} (${Math.round(100 * axis.share)} % of change)`;
    const [whole, slider] = knob(`axis-${i}`, share, axis.ends);
    sliders.axes.push(slider);
    at("axes").append(whole);
  });
  facts.attributes.forEach((name, i) => {
    const [whole, slider] = knob(`attribute-${i}`, name.replaceAll("_", " "));
    sliders.attributes.set(name, slider);
    at("attributes").append(whole);
  });
  at("attributes").hidden = !facts.attributes.length;
  at("label-row").hidden = !facts.labels.length;
  at("label").append(make("option", { value: "", textContent: "any" }));
  for (const name of facts.labels) {
    at("label").append(make("option", { value: name, textContent: name }));
  }
  at("mixer").hidden = facts.rungs < 2;
  at("no-mix").hidden = facts.rungs > 1;
  at("keep").max = Math.max(1, facts.rungs - 1);
  at("keep").value = at("keep-value").textContent = Math.max(1, Math.floor(facts.rungs / 2));
  for (let i = 0; i < COUNT; i += 1) {
    const button = make("button", { type: "button" },
      make("img", { alt: "" }), make("span", { className: "mark" }));
    button.addEventListener("click", () => {
      const slot = document.querySelector("input[name=target]:checked").value;
      put(slot, { sample: Number(button.value) }, `sample ${button.value}`);
    });
    at("grid").append(button);
  }
}

function listen() {
  at("temperature").addEventListener("input", drawnAnew);
  at("label").addEventListener("change", drawnAnew);
  at("all").addEventListener("change", () => { showGrid(); });
  at("detail").addEventListener("change", () => { nameA(); showA(); showB(); restWay(); });
  at("fresh").addEventListener("click", () => { state.first += COUNT; showGrid(); });
  at("share").addEventListener("input", frame);
  at("keep").addEventListener("input", () => {
    at("keep-value").textContent = at("keep").value;
    restWay();
  });
  at("reset").addEventListener("click", () => {
    for (const slider of [...sliders.axes, ...sliders.attributes.values()]) {
      slider.value = 0;
      slider.parentElement.querySelector("output").textContent = "0.0";
    }
    moved();
  });
  at("a-save").addEventListener("click", () => save(at("a-picture").src, `${plain("a")}_changed`));
  at("way-save").addEventListener("click", () => save(at("way").src, "between"));
  at("strip-save").addEventListener("click", () => saveSheet(state.frames, FRAMES, "way"));
  at("mix-save").addEventListener("click",
    () => saveSheet([at("mix-ab").src, at("mix-ba").src], 2, "mixed"));
  at("samples-save").addEventListener("click", () => {
    saveSheet([...at("grid").querySelectorAll("img")].map((image) => image.src), 4, "samples");
  });
  for (const slot of ["a", "b"]) {
    at(`${slot}-file`).addEventListener("change", (event) => {
      take(slot, event.target.files[0]);
      event.target.value = "";
    });
  }
  // Wherever a picture is dropped, the browser must not leave the page for it.
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      over(slotOf(event));
    });
  }
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) over(null); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    over(null);
    take(slotOf(event), event.dataTransfer.files[0]);
  });
}

const slotOf = (event) => (at("between").contains(event.target) ? "b" : "a");

function over(slot) {
  for (const id of ["a", "b"]) at(id).classList.toggle("over", id === slot);
}

async function begin() {
  try {
    facts = await ask("facts");
  } catch (error) {
    say(error.message);
    return;
  }
  furnish();
  listen();
  put("b", state.b, names.b);
  put("a", state.a, names.a);
  showGrid();
}

begin();
