"use strict";
// Draws the rollouts of a results page. Each player holds its data as JSON: levels of a colour scale
// over (vertical, horizontal, time), each less the one before it in time, deflated and in base64.

const MASKED = 254, MISSING = 255, FRAMES_A_SECOND = 8;
const players = [];

function bytes(text) {
  return Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
}

async function unpack(text, frames) {
  const stream = new Blob([bytes(text)]).stream().pipeThrough(new DecompressionStream("deflate"));
  const levels = new Uint8Array(await new Response(stream).arrayBuffer());
  for (let at = 0; at < levels.length; at++) {
    if (at % frames) levels[at] += levels[at - 1];
  }
  return levels;
}

function number(value) {
  const size = Math.abs(value);
  const text = size && (size < 1e-3 || size >= 1e5) ? value.toExponential(2) : value.toPrecision(3);
  return text.replaceAll("-", "−");
}

function quantity(value, units) {
  return units ? `${number(value)} ${units}` : number(value);
}

// One of truth, prediction and error: its canvases and the colours of its levels.
function paint(canvas, plane, levels, colours, column) {
  const { width, height } = plane;
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  for (let row = 0; row < height; row++) {
    for (let across = 0; across < width; across++) {
      const level = levels[column(row, across)];
      const at = 4 * ((height - 1 - row) * width + across);
      image.data[at + 3] = 255;
      if (level >= MASKED) {
        const striped = level === MISSING && ((row + across) >> 1) % 2;
        image.data.fill(level === MISSING ? (striped ? 120 : 235) : 190, at, at + 3);
      } else {
        image.data.set(colours.subarray(3 * level, 3 * level + 3), at);
      }
    }
  }
  context.putImageData(image, 0, 0);
}

function marks(box, ticks, kind) {
  const spans = ticks.map(([place, words]) => {
    const span = document.createElement("span");
    span.className = `tick ${kind}`;
    span.style[kind === "x" ? "left" : "bottom"] = `${100 * place}%`;
    span.textContent = words;
    return span;
  });
  box.append(...spans);
}

function bar(box, scale, colours, label) {
  const canvas = box.querySelector("canvas");
  const flat = { width: canvas.width, height: 1 };
  const ramp = Uint8Array.from({ length: canvas.width }, (_, level) => level);
  paint(canvas, flat, ramp, colours, (_, across) => across);
  canvas.setAttribute("aria-label", `colours of ${label}, ${number(scale.low)} to ` +
    number(scale.high));
  const holder = box.querySelector(".marks");
  holder.replaceChildren();
  marks(holder, scale.ticks, "x");
  for (const [side, sign, ends] of [["low", "◂", ["min", "both"]], ["high", "▸", ["max", "both"]]]) {
    if (!ends.includes(scale.extend)) continue;
    const end = document.createElement("span");
    end.className = `end ${side}`;
    end.textContent = sign;
    holder.append(end);
  }
  box.querySelector(".along").textContent = label;
}

// A line through values between two ends; it breaks where a value is not finite.
function path(values, low, high) {
  const last = Math.max(values.length - 1, 1);
  let pen = "M";
  return values.map((value, at) => {
    if (!Number.isFinite(value)) { pen = "M"; return ""; }
    const step = `${pen}${(1000 * at) / last},${1000 - (1000 * (value - low)) / (high - low)}`;
    pen = "L";
    return step;
  }).join("");
}

function roundTicks(low, high, count) {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 2.5, 5, 10].find((times) => times * power >= rough);
  const ticks = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high * (1 + 1e-9); at++) {
    const value = Number((at * step).toPrecision(10));
    ticks.push([(value - low) / (high - low), String(value).replace("-", "−")]);
  }
  return ticks;
}

function start(root) {
  const data = JSON.parse(root.querySelector("script").textContent);
  const find = (name) => root.querySelector(name);
  const [field, run, lead, play] = [".field", ".run", ".lead", ".play"].map(find);
  const frames = data.leads.length, cache = new Map();
  const strips = data.strips.map((name) => find(`.strip.${name}`));
  const maps = Object.fromEntries(
    Object.entries(data.maps).map(([name, text]) => [name, bytes(text)]));
  let timer = null, shown = null;

  function load() {
    const [i, j] = [Number(field.value), Number(run.value)], key = `${i},${j}`;
    if (!cache.has(key)) {
      const part = data.parts[i][j];
      const planes = part.planes.map((cuts) =>
        Promise.all(cuts.map((text) => unpack(text, frames))));
      cache.set(key, Promise.all(planes).then((levels) => ({ ...part, levels })));
    }
    return cache.get(key);
  }

  const value = (level, scale) =>
    level >= MASKED ? NaN : scale.low + ((scale.high - scale.low) * level) / data.levels;

  function drawImages() {
    const frame = Number(lead.value), name = data.fields[field.value].name;
    strips.forEach((strip, s) => {
      strip.querySelectorAll("canvas").forEach((canvas, p) => {
        const plane = data.planes[p];
        const column = data.in_time
          ? (row, across) => row * frames + across
          : (row, across) => (row * plane.width + across) * frames + frame;
        paint(canvas, plane, shown.levels[s][p], maps[shown.scales[s].map], column);
        const when = data.in_time ? "over time" : `at lead time ${data.leads[frame]}`;
        canvas.setAttribute("aria-label",
          `${data.strips[s]} of ${name}, ${run.selectedOptions[0].textContent}, ${when}`);
      });
    });
  }

  function drawBars() {
    const { name, units } = data.fields[field.value];
    const unit = units ? ` (${units})` : "";
    const first = shown.scales[0];
    bar(find(".bar.shared"), first, maps[first.map], `${name}${unit}`);
    data.strips.forEach((what, s) => {  // error and spread have scales of their own
      const box = find(`.bar.${what}`), scale = shown.scales[s];
      if (box) bar(box, scale, maps[scale.map], `${what}${unit}`);
    });
  }

  function chart(box, lines, low, high, ends, along, upward) {
    const holder = box.querySelector(".marks"), flat = low === high ? 1 : 0;
    const [bottom, top] = [low - flat, high + flat];
    holder.replaceChildren();
    marks(holder, roundTicks(bottom, top, 4), "y");
    marks(holder, roundTicks(ends[0], ends[1], 6), "x");
    box.querySelectorAll("path").forEach((element, at) =>
      element.setAttribute("d", at < lines.length ? path(lines[at], bottom, top) : ""));
    box.querySelector(".along").textContent = along;
    box.querySelector(".upward").textContent = upward;
  }

  function drawCourse() {
    const box = find(".course");
    if (!box) return;
    const scores = shown.scores.map((score) => (score === null ? NaN : score));
    const high = Math.max(...scores.filter(Number.isFinite), 0) || 1;
    chart(box, [scores], 0, 1.05 * high, [data.times[0], data.times[frames - 1]],
      data.lead_label, "VRMSE");
    box.querySelector(".name").textContent = "error against lead time";
    box.querySelector("svg").setAttribute("aria-label",
      `VRMSE against lead time, from ${number(scores[0])} to ${number(scores[frames - 1])}`);
  }

  function drawProfile() {
    const box = find(".profile"), frame = Number(lead.value);
    if (!box) return;
    const { name, units } = data.fields[field.value], [axis, low, high, unit] = data.planes[0].up;
    const count = data.strips[0] === "truth" ? 2 : 1, scale = shown.scales[0];
    const lines = shown.levels.slice(0, count).map(([levels]) =>
      Array.from({ length: data.planes[0].height }, (_, row) =>
        value(levels[row * frames + frame], scale)));
    chart(box, lines, scale.low, scale.high, [low, high], unit ? `${axis} (${unit})` : axis,
      units ? `${name} (${units})` : name);
    const title = box.querySelector(".name");
    title.textContent = `at lead time ${data.leads[frame]}: `;
    lines.forEach((_, at) => {
      const key = document.createElement("span");
      key.className = `key ${"ab"[at]}`;
      key.textContent = `${["━", "╍"][at]} ${data.strips[at]} `;
      title.append(key);
    });
    box.querySelector("svg").setAttribute("aria-label",
      `${data.strips.slice(0, count).join(" and ")} of ${name} along ${axis}, ${data.leads[frame]}`);
  }

  function drawFrame() {
    const frame = Number(lead.value);
    if (!data.in_time) drawImages();
    drawProfile();
    find(".now").textContent = `${data.leads[frame]} (${frame + 1} of ${frames})`;
    lead.setAttribute("aria-valuetext", data.leads[frame]);
    const score = find(".score");
    if (score) {
      const at = shown.scores[frame];
      score.textContent = at === null ? "· not finite" : `· VRMSE ${number(at)}`;
    }
    const [first, last] = [data.times[0], data.times[frames - 1]];
    root.querySelectorAll(".marker").forEach((marker) => {
      if (marker.closest(".profile")) { marker.hidden = true; marker.style.display = "none"; return; }
      const place = marker.closest(".course")
        ? (data.times[frame] - first) / (last - first || 1) : (frame + 0.5) / frames;
      marker.style.left = `${100 * place}%`;
    });
    root.dataset.shown = `${field.value},${run.value},${frame}`;
  }

  async function choose() {
    const wanted = `${field.value},${run.value}`;
    let part;
    try {
      part = await load();
    } catch (error) {
      find(".readout").textContent = `The pictures cannot be drawn: ${error.message}`;
      return;
    }
    if (wanted !== `${field.value},${run.value}`) return;
    shown = part;
    drawBars();
    drawCourse();
    if (data.in_time) drawImages();
    drawFrame();
  }

  function step(to) {
    lead.value = String(Math.min(Math.max(to, 0), frames - 1));
    if (shown) drawFrame();
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "▶ play";
    play.setAttribute("aria-pressed", "false");
  }

  function toggle() {
    if (timer !== null) { stop(); return; }
    if (Number(lead.value) === frames - 1) step(0);
    play.textContent = "❚❚ pause";
    play.setAttribute("aria-pressed", "true");
    timer = setInterval(() => {
      step(Number(lead.value) + 1);
      if (Number(lead.value) === frames - 1) stop();
    }, 1000 / FRAMES_A_SECOND);
  }

  function readOut(event, s, p) {
    if (!shown) return;
    const plane = data.planes[p], box = event.target.getBoundingClientRect();
    const inside = (size, part) => Math.min(Math.max(Math.floor(size * part), 0), size - 1);
    const across = inside(plane.width, (event.clientX - box.left) / box.width);
    const row = inside(plane.height, 1 - (event.clientY - box.top) / box.height);
    const time = data.in_time ? across : Number(lead.value);
    const at = (data.in_time ? row : row * plane.width + across) * frames + time;
    const place = ([name, low, high, units], part) =>
      `${name} = ${quantity(low + (high - low) * part, units)}`;
    const words = data.strips.map((name, k) => {
      const level = shown.levels[k][p][at], scale = shown.scales[k];
      if (level >= MASKED) return `${name} ${level === MASKED ? "outside" : "not finite"}`;
      const end = level === 0 && "min both".includes(scale.extend) ? "≤ "
        : level === data.levels && "max both".includes(scale.extend) ? "≥ " : "";
      return `${name} ${end}${quantity(value(level, scale), data.fields[field.value].units)}`;
    });
    find(".readout").textContent =
      `${place(plane.across, (across + 0.5) / plane.width)}, ` +
      `${place(plane.up, (row + 0.5) / plane.height)}: ${words.join(", ")}`;
  }

  field.addEventListener("change", choose);
  run.addEventListener("change", choose);
  lead.addEventListener("input", () => { stop(); if (shown) drawFrame(); });
  play.addEventListener("click", toggle);
  strips.forEach((strip, s) => strip.querySelectorAll("canvas").forEach((canvas, p) =>
    canvas.addEventListener("pointermove", (event) => readOut(event, s, p))));
  players.push({ root, keys: {
    ArrowRight: () => step(Number(lead.value) + 1), ArrowLeft: () => step(Number(lead.value) - 1),
    Home: () => step(0), End: () => step(frames - 1), " ": toggle } });
  choose();
}

// Keys act on the player that has the focus, else on the first; a control keeps its own.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("select, button, a")) return;
  if (event.target.matches("input") && event.key !== " ") return;
  const player = players.find(({ root }) => root.contains(event.target)) ?? players[0];
  const act = player?.keys[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

document.querySelectorAll(".player").forEach(start);
