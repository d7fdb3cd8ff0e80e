"use strict";
// Keeps the page up to date from the stream of events, shows stacks, and sends retry and cancel.
// Markup comes from the server, which escapes all names. This script adds no text as markup.

const byId = (id) => document.getElementById(id);
const SECONDS_BY_UNIT = [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]];
let clockDifference = 0; // seconds from the browser's clock to the server's

function serverTime() {
  return Date.now() / 1000 + clockDifference;
}

function setServerTime(now) {
  if (now) clockDifference = now - Date.now() / 1000;
}

function duration(seconds) {
  const left = Math.max(Math.floor(seconds), 0);
  for (const [size, unit, smaller, name] of SECONDS_BY_UNIT) {
    if (left >= size) {
      const rest = Math.floor((left % size) / smaller);
      return `${Math.floor(left / size)} ${unit}` + (rest ? ` ${rest} ${name}` : "");
    }
  }
  return `${left} s`;
}

function showTimes() {
  const now = serverTime();
  for (const time of document.querySelectorAll("time[data-since]")) setText(time, duration(now - time.dataset.since));
  for (const time of document.querySelectorAll("time[data-until]")) setText(time, `in ${duration(time.dataset.until - now)}`);
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Change `old` into `next`, and leave alone what is equal: the focus, the selection, and what the reader has opened.
function morph(old, next) {
  if (old.nodeType !== next.nodeType || old.nodeName !== next.nodeName || (old.id || "") !== (next.id || "")) {
    old.replaceWith(next);
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== next.nodeValue) old.nodeValue = next.nodeValue;
    return;
  }
  for (const { name } of [...old.attributes]) if (!next.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  for (const { name, value } of next.attributes) {
    if (name !== "open" && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  if (old.nodeName === "TIME") return; // `showTimes` writes its text
  morphChildren(old, next);
}

function morphChildren(old, next) {
  const known = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
  let place = old.firstChild;
  for (const child of [...next.childNodes]) {
    const match = child.id ? known.get(child.id) : place;
    if (child.id && match && match !== place) old.insertBefore(match, place);
    if (!match || (!child.id && match.id && next.querySelector(`#${CSS.escape(match.id)}`))) {
      old.insertBefore(child, place);
      continue;
    }
    const following = match.nextSibling;
    morph(match, child);
    place = following;
  }
  while (place) {
    const following = place.nextSibling;
    place.remove();
    place = following;
  }
}

function fragment(html) {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  return holder.content;
}

function apply(event) {
  setServerTime(event.now);
  for (const [id, html] of Object.entries(event.parts)) {
    if (id === "title") document.title = html;
    else if (byId(id)) morphChildren(byId(id), fragment(html));
  }
  for (const [id, html] of Object.entries(event.rows)) {
    const next = fragment(html).firstChild;
    if (byId(id)) morph(byId(id), next);
    else arrived.set(id, next);
  }
  for (const [id, rows] of Object.entries(event.orders)) order(byId(id), rows);
  arrived.clear();
  showTimes();
}

const arrived = new Map(); // rows that are not in their table yet

function order(body, rows) {
  if (!body) {
    location.reload(); // the page was made while the server did not answer
    return;
  }
  const kept = new Set(rows);
  for (const row of [...body.children]) if (!kept.has(row.id)) row.remove();
  let place = body.firstElementChild;
  for (const id of rows) {
    const row = byId(id) || arrived.get(id);
    if (!row) continue;
    if (row === place) place = place.nextElementSibling;
    else body.insertBefore(row, place);
  }
  body.closest("table").hidden = !rows.length;
}

function listen() {
  const live = byId("live");
  const events = new EventSource("events");
  events.onopen = () => { live.className = "on"; setText(live, "Live"); };
  events.onmessage = (message) => apply(JSON.parse(message.data));
  events.onerror = () => {
    live.className = "lost";
    setText(live, "Connection lost. Trying again");
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, 5000); // an answer other than 200
  };
}

async function showStack(process) {
  setText(byId("stack-title"), `Stack of ${process}`);
  setText(byId("stack-text"), "Reading the stack ...");
  byId("stack-again").dataset.process = process;
  if (!byId("stack").open) byId("stack").showModal();
  try {
    const answer = await fetch(`api/stack/${encodeURIComponent(process)}`);
    setText(byId("stack-text"), await answer.text());
  } catch {
    setText(byId("stack-text"), "Not available: the server does not answer.");
  }
}

function say(text) {
  setText(byId("message"), text);
  clearTimeout(say.timer);
  say.timer = setTimeout(() => setText(byId("message"), ""), 8000);
}

let waiting = null; // the button that waits for the token

async function change(button) {
  if (button.dataset.name !== undefined && button !== waiting && !confirm(`${button.ariaLabel}?`)) return;
  const token = sessionStorage.getItem("token");
  if (!token) {
    waiting = button;
    byId("token").showModal();
    return;
  }
  button.disabled = true;
  try {
    const path = button.dataset.name === undefined
      ? `api/tasks/${encodeURIComponent(button.dataset.task)}/${button.dataset.action}`
      : `api/tasks/${button.dataset.action}?task=${encodeURIComponent(button.dataset.name)}`;
    const answer = await fetch(path, { method: "POST", headers: { Authorization: `Bearer ${token}` } });
    const result = await answer.json();
    say(result.result || `Nothing was changed: ${result.error}`);
    if (answer.status === 401) {
      sessionStorage.removeItem("token");
      waiting = button;
      byId("token").showModal();
    }
  } catch {
    say("Nothing was changed: the server does not answer.");
  }
  button.disabled = false;
}

document.addEventListener("click", (event) => {
  const stack = event.target.closest("a.stack");
  const button = event.target.closest("button");
  if (stack && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    showStack(stack.dataset.process);
  } else if (button && button.id === "stack-again") showStack(button.dataset.process);
  else if (button && "close" in button.dataset) button.closest("dialog").close();
  else if (button && button.dataset.action) change(button);
});

if (byId("token-form")) {
  byId("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem("token", byId("token-text").value.trim());
    byId("token-text").value = "";
    byId("token").close();
    if (waiting) change(waiting);
    waiting = null;
  });
}

document.documentElement.classList.add("scripted");
const message = document.createElement("p");
message.id = "message";
message.setAttribute("role", "status");
document.body.append(message);
setServerTime(Number(byId("main").dataset.now));
listen();
setInterval(showTimes, 1000);
