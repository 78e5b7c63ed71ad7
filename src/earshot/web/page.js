"use strict";
const of = (id) => document.getElementById(id);
const audio = of("audio");
const COLOURS = ["var(--first)", "var(--second)"];
const EVENTS_SHOWN = 500;
let sound = null; // the recording: {blob, name}
let asking = null; // aborts the question that is on its way
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

function say(text, wrong = false) {
  of("said").textContent = text;
  of("said").classList.toggle("wrong", wrong);
}

async function start() {
  const offered = await (await fetch("models")).json();
  for (const name of offered.models) for (const id of ["model", "other"]) make("option", of(id), name, { value: name });
  for (const [name, value] of Object.entries(offered.rule)) of("asked").elements[name].value = value;
  start.most = offered.most_bytes;
}

async function listen() {
  if (!sound) return;
  if (sound.blob.size > start.most) return say(`larger than ${start.most / 1e6} MB: \`earshot predict\` takes any size`, true);
  asking?.abort();
  asking = new AbortController();
  const asked = new URLSearchParams({ model: of("model").value });
  if (of("other").value && of("other").value !== of("model").value) asked.append("model", of("other").value);
  for (const input of of("rule").querySelectorAll("input")) asked.append(input.name, input.value);
  say("listening …");
  try {
    const response = await fetch(`listen?${asked}`, { method: "POST", body: sound.blob, signal: asking.signal });
    const found = await response.json();
    if (!response.ok) throw new Error(found.error);
    show(found);
    say("");
  } catch (error) {
    if (error.name !== "AbortError") say(`${sound.name}: ${error.message}`, true);
  }
}

function take(blob, name) {
  sound = { blob, name };
  URL.revokeObjectURL(audio.src);
  audio.src = URL.createObjectURL(blob);
  of("result").hidden = true;
  listen();
}

function show(found) {
  of("result").hidden = false;
  of("title").textContent = sound.name;
  of("spectrogram").src = found.spectrogram;
  of("hertz").textContent = `${found.hertz / 1000} kHz`;
  of("until").textContent = clock(found.seconds);
  of("picture").dataset.seconds = found.seconds;
  of("models").replaceChildren();
  of("over").replaceChildren();
  const classes = Object.keys(found.heard[0].scores);
  if (!classes.includes(shown)) shown = classes[0];
  found.heard.forEach((heard, number) => model(heard, number, found));
}

function model(heard, number, found) {
  const card = make("section", of("models"), "", { class: "model" });
  card.style.setProperty("--colour", COLOURS[number]);
  make("h3", card, heard.model);
  const scores = Object.entries(heard.scores).sort((a, b) => b[1] - a[1]).map(([label, score]) => `${label} ${score.toFixed(2)}`);
  make("p", card, `on the whole: ${scores.join(", ")}`, { class: "muted" });
  const label = make("label", card, "events of ", { class: "muted" });
  const choice = make("select", label);
  for (const name of Object.keys(heard.scores)) make("option", choice, name, { value: name });
  choice.value = shown in heard.scores ? shown : heard.label;
  choice.onchange = () => { shown = choice.value; show(found); };
  const events = heard.events.filter((event) => event.label === choice.value);
  curve(card, heard, choice.value, events, found.seconds);
  if (number === 0) for (const event of events) {
    const mark = make("div", of("over"), "", { class: "mark" });
    mark.style.left = `${(100 * event.start) / found.seconds}%`;
    mark.style.width = `${(100 * (event.end - event.start)) / found.seconds}%`;
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

function curve(card, heard, label, events, seconds) {
  const drawn = make("svg", card, "", { viewBox: `0 0 ${seconds} 1`, preserveAspectRatio: "none", role: "img" });
  drawn.setAttribute("aria-label", `score of ${label} over time`);
  for (const { start, end } of events) make("rect", drawn, "", { x: start, y: 0, width: end - start, height: 1 });
  const threshold = of("asked").elements.threshold.value;
  make("line", drawn, "", { x1: 0, x2: seconds, y1: 1 - threshold, y2: 1 - threshold });
  const { seconds: at, scores } = heard.timeline;
  const points = at.map((second, n) => `${second} ${1 - scores[label][n]}`);
  make("path", drawn, "", { d: points.length > 1 ? `M${points.join("L")}` : `M0 ${points[0].split(" ")[1]}H${seconds}` });
}

function hear(start, end) {
  ends = end;
  audio.currentTime = start;
  audio.play().catch(() => say("this browser can't play the recording's format", true));
}

audio.ontimeupdate = () => {
  of("now").style.left = `${(100 * audio.currentTime) / of("picture").dataset.seconds}%`;
  if (ends !== null && audio.currentTime >= ends) { audio.pause(); ends = null; }
};
of("picture").onclick = (event) => {
  const box = of("picture").getBoundingClientRect();
  hear(((event.clientX - box.left) / box.width) * of("picture").dataset.seconds, null);
};
of("file").onchange = () => of("file").files.length && take(of("file").files[0], of("file").files[0].name);
of("asked").onchange = (event) => event.target !== of("file") && listen();
of("asked").onsubmit = (event) => event.preventDefault();
for (const name of ["dragover", "dragleave", "drop"]) document.addEventListener(name, (event) => {
  event.preventDefault();
  of("drop").classList.toggle("over", name === "dragover");
  if (name === "drop" && event.dataTransfer.files.length) take(event.dataTransfer.files[0], event.dataTransfer.files[0].name);
});

let recorder = null;
of("record").onclick = async () => {
  if (recorder) return recorder.stop();
  try {
    recorder = new MediaRecorder(await navigator.mediaDevices.getUserMedia({ audio: true }));
  } catch (error) {
    return say(`no microphone: ${error.message}`, true);
  }
  const parts = [];
  recorder.ondataavailable = (event) => parts.push(event.data);
  recorder.onstop = async () => {
    recorder.stream.getTracks().forEach((track) => track.stop());
    recorder = null;
    of("record").textContent = "Record";
    of("record").classList.remove("on");
    take(await wav(new Blob(parts)), "your recording");
  };
  recorder.start();
  of("record").textContent = "Stop";
  of("record").classList.add("on");
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

start().catch((error) => say(`the server does not answer: ${error.message}`, true));
