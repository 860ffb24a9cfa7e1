"use strict";
// A listening test: start, training, trials, end. The plan in the page says what is heard in which order.
const plan = JSON.parse(document.getElementById("plan").textContent);
const stage = document.getElementById("stage");
const state = { listener: "", row: 0, started: "", position: 0, answers: [] };
let players = {};
let keys = {};

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (typeof value === "boolean") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function show(wide, ...children) {
  for (const player of Object.values(players)) player.pause();
  players = {};
  keys = {};
  stage.className = wide ? "wide" : "";
  stage.replaceChildren(...children);
  window.scrollTo(0, 0);
}

// Listeners with numbers in their codes fill the rows one after the other; others fall into one by their letters.
function rowOf(code) {
  const digits = /(\d+)\D*$/.exec(code);
  let number = 2166136261;
  for (const letter of code) number = Math.imul(number ^ letter.codePointAt(0), 16777619) >>> 0;
  return digits ? (parseInt(digits[1], 10) + plan.rows.length - 1) % plan.rows.length : number % plan.rows.length;
}

const place = () => `amphion-listening:${plan.plan}:${state.listener}`;

function keep() {
  try { localStorage.setItem(place(), JSON.stringify(state)); } catch { /* a browser may refuse; the test goes on */ }
}

function kept() {
  try {
    const found = JSON.parse(localStorage.getItem(place()));
    return found && found.position > 0 ? found : null;
  } catch { return null; }
}

// Sounds. One plays at a time; `follow` goes on at the same place of another sound, for comparisons.
function player(name, { heard, moved, follow = false }) {
  const audio = new Audio(plan.audio[name]);
  audio.preload = "auto";
  let complete = false;
  audio.addEventListener("timeupdate", () => moved?.(audio.duration ? audio.currentTime / audio.duration : 0));
  audio.addEventListener("ended", () => { complete = true; moved?.(1); heard(true); });
  audio.addEventListener("play", () => heard(complete));
  audio.addEventListener("error", () => fault(`A sound (${name}) can't be played. Reload the page; what you answered is kept.`));
  audio.toggle = () => {
    if (!audio.paused) { audio.pause(); return; }
    const other = Object.values(players).find((one) => !one.paused);
    const from = follow && other ? other.currentTime : audio.ended ? 0 : audio.currentTime;
    if (other) other.pause();
    const at = from < (audio.duration || Infinity) ? from : 0;
    if (at !== audio.currentTime) audio.currentTime = at;
    audio.play().catch(() => {});
    audio.plays = (audio.plays || 0) + 1;
  };
  players[name] = audio;
  return audio;
}

function fault(text) {
  if (!stage.querySelector(".fault")) stage.append(make("p", { class: "fault", role: "alert" }, text));
}

function playButton(label, sound, options = {}) {
  const button = make("button", { type: "button", class: `act ${options.class || ""}`, onclick: () => sound.toggle() }, label);
  button.addEventListener("mousedown", (event) => event.preventDefault()); // the keys stay with the page
  sound.addEventListener("play", () => button.classList.add("playing"));
  sound.addEventListener("pause", () => button.classList.remove("playing"));
  return button;
}

function bar() {
  const fill = make("i");
  return [make("div", { class: "line" }, fill), (share) => { fill.style.width = `${100 * share}%`; }];
}

function progress(done, total) {
  const fill = make("i");
  fill.style.width = `${(100 * done) / total}%`;
  return make("div", { class: "progress", role: "progressbar", "aria-valuemin": "0", "aria-valuenow": `${done}`, "aria-valuemax": `${total}` }, fill);
}

function hint(...pairs) {
  const parts = pairs.flatMap(([key, says]) => [make("kbd", {}, key), ` ${says}   `]);
  return make("p", { class: "soft" }, ...parts);
}

// The three forms of a trial: each returns what to show, and `answer()`, null as long as something is missing.
function single(trial, order, changed) {
  const sound = trial.sounds[order[0]];
  let finished = false, value = null;
  const [line, moved] = bar();
  const scale = make("fieldset", { disabled: true, "aria-label": plan.question });
  const audio = player(sound, { moved, heard: (complete) => {
    finished = finished || complete;
    scale.disabled = !ready();
    changed();
  } });
  let known = !trial.reference;
  const ready = () => finished && known;
  const buttons = [playButton("Play", audio, { class: "main" })];
  keys[" "] = () => audio.toggle();
  if (trial.reference) {
    const reference = player(trial.reference, { heard: (complete) => { known = known || complete; scale.disabled = !ready(); changed(); } });
    buttons.unshift(playButton("Reference", reference));
    keys.r = () => reference.toggle();
  }
  plan.scale.forEach((word, place) => {
    const grade = plan.scale.length - place;
    const input = make("input", { type: "radio", name: "grade", value: `${grade}`, onchange: () => { value = grade; changed(); } });
    scale.append(make("label", {}, input, make("b", {}, `${grade}`), word));
    keys[`${grade}`] = () => { if (ready()) { input.checked = true; value = grade; changed(); input.focus(); } };
  });
  return {
    content: [make("div", { class: "row" }, ...buttons), line, scale,
      hint(["Space", "play"], ...(trial.reference ? [["R", "reference"]] : []), [`1–${plan.scale.length}`, "answer"], ["Enter", "next"]),
      make("p", { class: "soft" }, "The scale opens when you have heard everything to its end once.")],
    answer: () => (ready() && value !== null ? { values: { [sound]: value }, plays: { [sound]: audio.plays } } : null),
  };
}

function mushra(trial, order, changed) {
  const sounds = order.map((index) => trial.sounds[index]);
  const heard = new Set(), values = {}, moved = new Set();
  const reference = player(trial.reference, { follow: true, heard: () => {} });
  keys.r = () => reference.toggle();
  let current = reference;
  keys[" "] = () => { current.toggle(); };
  const lines = sounds.map((sound, number) => {
    const letter = String.fromCharCode(65 + number);
    const audio = player(sound, { follow: true, heard: () => { heard.add(sound); slider.disabled = false; changed(); } });
    const output = make("output", {}, "–");
    const slider = make("input", { type: "range", min: "0", max: "100", step: "1", value: "50", disabled: true, "aria-label": `Grade of ${letter}`,
      oninput: () => {
        values[sound] = Number(slider.value);
        moved.add(sound);
        output.textContent = slider.value;
        line.classList.remove("untouched");
        changed();
      } });
    const button = playButton(letter, audio);
    const select = () => { current = audio; slider.disabled = false; slider.focus(); audio.toggle(); };
    keys[letter.toLowerCase()] = select;
    audio.addEventListener("play", () => { current = audio; });
    const line = make("div", { class: "slider untouched" }, button, slider, output);
    return line;
  });
  reference.addEventListener("play", () => { current = reference; });
  const grades = make("div", { class: "grades", "aria-hidden": "true" }, make("span", {}, ...[...plan.scale].reverse().map((word) => make("i", {}, word))));
  return {
    wide: true,
    content: [make("div", { class: "row" }, playButton("Reference", reference, { class: "main" })),
      make("div", { class: "sliders" }, grades, ...lines),
      hint(["R", "reference"], [`A–${String.fromCharCode(64 + sounds.length)}`, "play"], ["Space", "pause"], ["← →", "grade"], ["Enter", "next"]),
      make("p", { class: "soft" }, "Play every sound and move every slider. Give 100 to the sound that is the reference.")],
    answer: () => (sounds.every((sound) => heard.has(sound) && moved.has(sound))
      ? { sounds, values: { ...values }, plays: Object.fromEntries(sounds.map((sound) => [sound, players[sound].plays])) } : null),
  };
}

function abx(trial, order, changed) {
  const [a, b, x] = order.map((index) => trial.sounds[index]);
  const heard = new Set();
  let choice = null;
  const scale = make("fieldset", { disabled: true, "aria-label": plan.question });
  const ready = () => heard.size === 3;
  const sound = (name, letter) => {
    const audio = player(name, { heard: () => { heard.add(letter); scale.disabled = !ready(); changed(); } });
    players[letter] = audio;
    keys[letter.toLowerCase()] = () => audio.toggle();
    return playButton(letter, audio, { class: letter === "X" ? "main" : "" });
  };
  const buttons = [sound(a, "A"), sound(b, "B"), sound(x, "X")];
  for (const [letter, name, key] of [["A", a, "ArrowLeft"], ["B", b, "ArrowRight"]]) {
    const input = make("input", { type: "radio", name: "choice", value: letter, onchange: () => { choice = name; changed(); } });
    scale.append(make("label", {}, input, `X is ${letter}`));
    keys[key] = () => { if (ready()) { input.checked = true; choice = name; changed(); } };
  }
  return {
    content: [make("div", { class: "row" }, ...buttons), scale,
      hint(["A", ""], ["B", ""], ["X", "play"], ["← →", "answer"], ["Enter", "next"]),
      make("p", { class: "soft" }, "Play all three at least once. X is exactly one of the other two.")],
    answer: () => (ready() && choice !== null ? { sounds: [a, b, x], choice } : null),
  };
}

const forms = { mos: single, smos: single, mushra, abx };

function ask(trial, order, { head, label, next }) {
  const began = performance.now();
  show(false);
  const button = make("button", { type: "button", class: "act main", disabled: true, onclick: () => go() }, label);
  const form = forms[plan.kind](trial, order, () => { button.disabled = form.answer() === null; });
  const go = () => {
    const answer = form.answer();
    if (answer) next({ trial: trial.id, seconds: Math.round((performance.now() - began) / 100) / 10, ...answer });
  };
  keys.Enter = go;
  stage.className = form.wide ? "wide" : "";
  stage.replaceChildren(head, make("h1", { class: "question", tabindex: "-1" }, plan.question), ...form.content, make("div", { class: "actions" }, button));
  stage.querySelector("h1").focus({ preventScroll: true });
}

function start() {
  const warning = make("p", { class: "fault", role: "alert" });
  const input = make("input", { class: "code", id: "code", autocomplete: "off", spellcheck: "false", maxlength: "64" });
  const begin = () => {
    const code = input.value.trim();
    if (!code) { warning.textContent = "Enter your code first."; input.focus(); return; }
    state.listener = code;
    const found = kept();
    Object.assign(state, found ?? { row: rowOf(code), started: new Date().toISOString(), position: 0, answers: [] });
    if (found || !plan.training.length) step(); else train(0);
  };
  show(false,
    make("h1", {}, plan.title),
    make("div", { class: "card" },
      make("p", {}, make("b", {}, plan.question)),
      make("p", {}, `${plan.rows[0].length} questions${plan.training.length ? `, after ${plan.training.length} for practice that don't count` : ""}. Use headphones in a quiet place, and keep the volume as it is once you have begun.`),
      make("p", { class: "soft" }, "Your answers stay in this browser until you save them at the end. If you are interrupted, open the page again and enter the same code.")),
    make("p", {}, make("label", { for: "code" }, "Your code, as you were given it:")),
    make("p", {}, input), warning,
    make("div", { class: "actions" }, make("button", { type: "button", class: "act main", onclick: begin }, "Begin")));
  keys.Enter = begin;
  input.addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); begin(); } });
  input.focus({ preventScroll: true });
}

function train(number) {
  const [trial, order] = plan.training[number];
  const last = number + 1 === plan.training.length;
  ask(plan.training_trials[trial], order, {
    head: make("p", { class: "soft" }, `Practice ${number + 1} of ${plan.training.length}: set the volume, and get to know the range of the sounds.`),
    label: last ? "Begin the test" : "Next",
    next: () => (last ? step() : train(number + 1)),
  });
}

function step() {
  const row = plan.rows[state.row];
  if (state.position >= row.length) { end(); return; }
  const [trial, order] = row[state.position];
  const head = make("div", {}, progress(state.position, row.length), make("p", { class: "soft" }, `Question ${state.position + 1} of ${row.length}`));
  ask(plan.trials[trial], order, { head, label: "Next", next: (answer) => {
    state.answers.push(answer);
    state.position += 1;
    keep();
    step();
  } });
}

function end() {
  const result = {
    format: "amphion-listening-answers", version: 1, plan: plan.plan, kind: plan.kind, listener: state.listener, row: state.row,
    started: state.started, finished: state.finished ??= new Date().toISOString(), answers: state.answers,
  };
  keep();
  const text = JSON.stringify(result, null, 1);
  const name = `${plan.kind}-${plan.plan}-${state.listener.replace(/[^\w.-]/g, "_")}.json`;
  const address = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  const sent = make("p", { role: "status" });
  show(false,
    make("h1", {}, "Thank you"),
    make("p", {}, plan.post ? "Your answers are being sent. Save them as well, in case they don't arrive." : "Save your answers, and send the file to the person who invited you."),
    sent,
    make("div", { class: "actions" }, make("a", { class: "act main", href: address, download: name }, "Save the answers")),
    make("details", {}, make("summary", {}, "The answers as text"), make("pre", { id: "answers" }, text)));
  if (plan.post) {
    fetch(plan.post, { method: "POST", headers: { "Content-Type": "application/json" }, body: text })
      .then((reply) => { sent.textContent = reply.ok ? "They have arrived." : `They were refused (${reply.status}); send the file.`; })
      .catch(() => { sent.textContent = "They could not be sent; send the file."; });
  }
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input.code, textarea")) return;
  const pressed = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const native = event.target.matches("button, a, summary") && (pressed === " " || pressed === "Enter");
  if (native || !(pressed in keys)) return;
  if (event.target.matches("input[type=range]") && pressed.startsWith("Arrow")) return;
  event.preventDefault();
  keys[pressed]();
});

start();
