"use strict";
const byId = (id) => document.getElementById(id);
const audio = byId("audio");
const COLOURS = ["var(--first)", "var(--second)"];
const EVENTS_SHOWN = 500;
const SCORES_SHOWN = 10;
let sound = null; // the recording: {blob, name}
let pending = null; // aborts the request under way
let ends = null; // where playing stops, in seconds
let shown = ""; // the class whose events and scores are drawn

function make(tag, parent, text = "", attributes = {}) {
  const svg = ["svg", "path", "rect", "line"].includes(tag);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  parent.append(made);
  return made;
}

function clock(seconds) {
  const tenths = Math.round(seconds * 10);
  const rest = ((tenths % 600) / 10).toFixed(1).padStart(4, "0");
  const minutes = Math.floor(tenths / 600);
  return minutes < 60 ? `${minutes}:${rest}` : `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${rest}`;
}

function showStatus(text, wrong = false) {
  byId("status").textContent = text;
  byId("status").classList.toggle("wrong", wrong);
}

async function start() {
  const served = await (await fetch("models")).json();
  for (const name of served.models) for (const id of ["model", "other"]) make("option", byId(id), name, { value: name });
  for (const [name, value] of Object.entries(served.rule)) byId("settings").elements[name].placeholder = value;
  start.most = served.most_bytes;
}

async function listen() {
  if (!sound) return;
  if (sound.blob.size > start.most) return showStatus(`larger than ${start.most / 1e6} MB: \`earshot predict\` takes any size`, true);
  pending?.abort();
  pending = new AbortController();
  const query = new URLSearchParams({ model: byId("model").value });
  if (byId("other").value && byId("other").value !== byId("model").value) query.append("model", byId("other").value);
  for (const input of byId("rule").querySelectorAll("input")) if (input.value) query.append(input.name, input.value);
  showStatus("listening …");
  try {
    const response = await fetch(`listen?${query}`, { method: "POST", body: sound.blob, signal: pending.signal });
    const result = await response.json();
    if (!response.ok) throw new Error(result.error);
    show(result);
    showStatus("");
  } catch (error) {
    if (error.name !== "AbortError") showStatus(`${sound.name}: ${error.message}`, true);
  }
}

function take(blob, name) {
  sound = { blob, name };
  URL.revokeObjectURL(audio.src);
  audio.src = URL.createObjectURL(blob);
  byId("result").hidden = true;
  listen();
}

function show(result) {
  byId("result").hidden = false;
  byId("title").textContent = sound.name;
  byId("spectrogram").src = result.spectrogram;
  byId("hertz").textContent = `${result.hertz / 1000} kHz`;
  byId("until").textContent = clock(result.seconds);
  byId("picture").dataset.seconds = result.seconds;
  byId("models").replaceChildren();
  byId("over").replaceChildren();
  const classes = Object.keys(result.heard[0].scores);
  if (!classes.includes(shown)) shown = classes[0];
  result.heard.forEach((prediction, number) => model(prediction, number, result));
}

function model(prediction, number, result) {
  const card = make("section", byId("models"), "", { class: "model" });
  card.style.setProperty("--colour", COLOURS[number]);
  make("h3", card, prediction.model);
  const scores = Object.entries(prediction.scores).sort((a, b) => b[1] - a[1]).slice(0, SCORES_SHOWN).map(([label, score]) => `${label} ${score.toFixed(2)}`);
  make("p", card, `whole recording: ${scores.join(", ")}`, { class: "muted" });
  const point = prediction.operating_point;
  if (point) make("p", card, `${point.label}: chosen for ${point.max_false_alarms_per_hour} false alarms an hour, recall ${point.recall.toFixed(2)}`, { class: "muted" });
  const label = make("label", card, "events of ", { class: "muted" });
  const choice = make("select", label);
  for (const name of Object.keys(prediction.scores)) make("option", choice, name, { value: name });
  choice.value = shown in prediction.scores ? shown : prediction.label;
  choice.onchange = () => { shown = choice.value; show(result); };
  const events = prediction.events.filter((event) => event.label === choice.value);
  curve(card, prediction, choice.value, events, result.seconds);
  if (number === 0) for (const event of events) {
    const mark = make("div", byId("over"), "", { class: "mark" });
    mark.style.left = `${(100 * event.start) / result.seconds}%`;
    mark.style.width = `${(100 * (event.end - event.start)) / result.seconds}%`;
  }
  const list = make("ul", card, "", { class: "events" });
  if (!events.length) make("li", list, `no event of ${choice.value}`);
  for (const event of events.slice(0, EVENTS_SHOWN)) {
    const line = make("li", list);
    const play = make("button", line, "▶", { type: "button", "aria-label": `play ${clock(event.start)} to ${clock(event.end)}` });
    play.onclick = () => hear(event.start, event.end);
    make("span", line, `${clock(event.start)} – ${clock(event.end)}`);
    make("span", line, event.confidence.toFixed(2), { class: "confidence" });
  }
  if (events.length > EVENTS_SHOWN) make("p", card, `and ${events.length - EVENTS_SHOWN} more`, { class: "muted" });
}

function curve(card, prediction, label, events, seconds) {
  const drawn = make("svg", card, "", { viewBox: `0 0 ${seconds} 1`, preserveAspectRatio: "none", role: "img" });
  drawn.setAttribute("aria-label", `score of ${label} over time`);
  for (const { start, end } of events) make("rect", drawn, "", { x: start, y: 0, width: end - start, height: 1 });
  const { threshold } = prediction.rules[label];
  make("line", drawn, "", { x1: 0, x2: seconds, y1: 1 - threshold, y2: 1 - threshold });
  const { seconds: at, scores } = prediction.timeline;
  const points = at.map((second, n) => `${second} ${1 - scores[label][n]}`);
  make("path", drawn, "", { d: points.length > 1 ? `M${points.join("L")}` : `M0 ${points[0].split(" ")[1]}H${seconds}` });
}

function hear(start, end) {
  ends = end;
  audio.currentTime = start;
  audio.play().catch(() => showStatus("this browser can't play the recording's format", true));
}

audio.ontimeupdate = () => {
  byId("now").style.left = `${(100 * audio.currentTime) / byId("picture").dataset.seconds}%`;
  if (ends !== null && audio.currentTime >= ends) { audio.pause(); ends = null; }
};
byId("picture").onclick = (event) => {
  const box = byId("picture").getBoundingClientRect();
  hear(((event.clientX - box.left) / box.width) * byId("picture").dataset.seconds, null);
};
byId("file").onchange = () => byId("file").files.length && take(byId("file").files[0], byId("file").files[0].name);
byId("settings").onchange = (event) => event.target !== byId("file") && listen();
byId("settings").onsubmit = (event) => event.preventDefault();
for (const name of ["dragover", "dragleave", "drop"]) document.addEventListener(name, (event) => {
  event.preventDefault();
  byId("drop").classList.toggle("over", name === "dragover");
  if (name === "drop" && event.dataTransfer.files.length) take(event.dataTransfer.files[0], event.dataTransfer.files[0].name);
});

let recorder = null;
byId("record").onclick = async () => {
  if (recorder) return recorder.stop();
  try {
    recorder = new MediaRecorder(await navigator.mediaDevices.getUserMedia({ audio: true }));
  } catch (error) {
    return showStatus(`no microphone: ${error.message}`, true);
  }
  const parts = [];
  recorder.ondataavailable = (event) => parts.push(event.data);
  recorder.onstop = async () => {
    recorder.stream.getTracks().forEach((track) => track.stop());
    recorder = null;
    byId("record").textContent = "Record";
    byId("record").classList.remove("on");
    take(await wav(new Blob(parts)), "your recording");
  };
  recorder.start();
  byId("record").textContent = "Stop";
  byId("record").classList.add("on");
};

// What browsers record, every one in a format of its own, becomes WAV: 16 bit, mono.
async function wav(blob) {
  const context = new AudioContext();
  const decoded = await context.decodeAudioData(await blob.arrayBuffer());
  context.close();
  const samples = decoded.getChannelData(0);
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (at, letters) => [...letters].forEach((letter, n) => view.setUint8(at + n, letter.charCodeAt(0)));
  text(0, "RIFF"); view.setUint32(4, 36 + 2 * samples.length, true); text(8, "WAVEfmt ");
  view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
  view.setUint32(24, decoded.sampleRate, true); view.setUint32(28, 2 * decoded.sampleRate, true);
  view.setUint16(32, 2, true); view.setUint16(34, 16, true);
  text(36, "data"); view.setUint32(40, 2 * samples.length, true);
  samples.forEach((sample, n) => view.setInt16(44 + 2 * n, Math.max(-1, Math.min(1, sample)) * 32767, true));
  return new Blob([view], { type: "audio/wav" });
}

start().catch((error) => showStatus(`the server does not answer: ${error.message}`, true));
