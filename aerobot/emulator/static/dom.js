// Builds elements. Text is only ever set as text: nothing that came in a message is parsed as markup.

const PATHS = {
  plus: "M12 5v14M5 12h14",
  back: "M15 5l-7 7 7 7",
  down: "M6 9.5l6 6 6-6",
  send: "M4.5 12L20 4.5 15.5 20l-3.5-6.5zM12 13.5L20 4.5",
  clip: "M20 11.5l-8.2 8.2a5 5 0 0 1-7.1-7.1l8.6-8.6a3.3 3.3 0 0 1 4.7 4.7l-8.5 8.5a1.7 1.7 0 0 1-2.4-2.4l7.7-7.6",
  close: "M6 6l12 12M18 6L6 18",
  reply: "M9.5 7L4.5 12l5 5M4.5 12H14a5.5 5.5 0 0 1 5.5 5.5V19",
  smile: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM8.5 14.2a4.3 4.3 0 0 0 7 0M9 9.7v.1M15 9.7v.1",
  list: "M9 7h10M9 12h10M9 17h10M5 7h.01M5 12h.01M5 17h.01",
  link: "M14 5h5v5M19 5l-8 8M17 13.5V18a1.5 1.5 0 0 1-1.5 1.5h-9A1.5 1.5 0 0 1 5 18V9a1.5 1.5 0 0 1 1.5-1.5H11",
  pin: "M12 21s-6.5-5.6-6.5-11a6.5 6.5 0 0 1 13 0c0 5.4-6.5 11-6.5 11zM12 12.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5z",
  photo: "M5.5 5h13A1.5 1.5 0 0 1 20 6.5v11a1.5 1.5 0 0 1-1.5 1.5h-13A1.5 1.5 0 0 1 4 17.5v-11A1.5 1.5 0 0 1 5.5 5zM4 16l4.5-4.5 4 4L15 13l5 4.5M15 9.5v.1",
  file: "M13.5 3.5H7A1.5 1.5 0 0 0 5.5 5v14A1.5 1.5 0 0 0 7 20.5h10a1.5 1.5 0 0 0 1.5-1.5V8.5zM13.5 3.5v5h5",
  person: "M12 11.5a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4.5 20.5a7.5 7.5 0 0 1 15 0",
  clock: "M12 20a8 8 0 1 0 0-16 8 8 0 0 0 0 16zM12 8v4.3l2.7 1.7",
  tick: "M5 12.8l4.3 4.2L18.5 7",
  ticks: "M1.5 12.8l4.3 4.2L15 7M10.2 16l1.1 1L20.5 7",
  alert: "M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17zM12 7.8v5M12 16.1v.1",
  world: "M4 8h9M17 8h3M4 16h3M11 16h9M15 10.2a2.2 2.2 0 1 0 0-4.4 2.2 2.2 0 0 0 0 4.4zM9 18.2a2.2 2.2 0 1 0 0-4.4 2.2 2.2 0 0 0 0 4.4z",
  inspect: "M8.5 7.5L4 12l4.5 4.5M15.5 7.5L20 12l-4.5 4.5M13.4 5.5l-2.8 13",
  mic: "M12 14.5a3 3 0 0 0 3-3v-5a3 3 0 0 0-6 0v5a3 3 0 0 0 3 3zM6 11.5a6 6 0 0 0 12 0M12 17.5V21",
  sticker: "M13.5 20H7a3 3 0 0 1-3-3V7a3 3 0 0 1 3-3h10a3 3 0 0 1 3 3v6.5zM20 13.5h-3.5a3 3 0 0 0-3 3V20M8.5 9.5v.1M14.5 9.5v.1M8.8 12.6a3.4 3.4 0 0 0 3.7 1.6",
  more: "M5.5 12h.01M12 12h.01M18.5 12h.01",
  forward: "M14.5 7l5 5-5 5M19.5 12H10a5.5 5.5 0 0 0-5.5 5.5V19",
  ad: "M4 10v4h3l7 4V6l-7 4zM17.5 9.5a3.5 3.5 0 0 1 0 5M8 14.5l1.2 4.5h2.2l-1-3.7",
  bolt: "M13 3.5L5.5 13.5H11l-1 7 7.5-10H12z",
  call: "M6.5 4h3l1.5 4-2 1.3a10.5 10.5 0 0 0 5.7 5.7l1.3-2 4 1.5v3a2 2 0 0 1-2.2 2A15.5 15.5 0 0 1 4.5 6.2 2 2 0 0 1 6.5 4z",
  copy: "M9 8.5h9A1.5 1.5 0 0 1 19.5 10v9a1.5 1.5 0 0 1-1.5 1.5H9A1.5 1.5 0 0 1 7.5 19v-9A1.5 1.5 0 0 1 9 8.5zM4.5 15.5V5A1.5 1.5 0 0 1 6 3.5h9",
  again: "M19.5 12a7.5 7.5 0 1 1-2.2-5.3L19.5 9M19.5 4v5h-5",
  pause: "M8.5 5.5v13M15.5 5.5v13",
  cart: "M3.5 4.5h2.6l2 10.5h9.4l2-7.5H7M9.5 19.6v.1M16.5 19.6v.1",
  edit: "M4.5 19.5l1-4L16 5a2 2 0 0 1 3 3L8.5 18.5zM14 7l3 3",
  trash: "M5 7h14M10 7V4.5h4V7M7 7l.8 12.5h8.4L17 7M10.5 10.5v6M13.5 10.5v6",
  wave: "M5 10v4M9 6.5v11M13 9v6M17 5v14M20.5 10.5v3",
  form: "M6 4.5h12A1.5 1.5 0 0 1 19.5 6v12a1.5 1.5 0 0 1-1.5 1.5H6A1.5 1.5 0 0 1 4.5 18V6A1.5 1.5 0 0 1 6 4.5zM8.5 9h7M8.5 12.5h7M8.5 16h4",
};

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("icon", `icon-${name}`);
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

// h("button.primary", {type: "button", onclick}, child, …): children are nodes or text.
export function h(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  element.classList.add(...classes);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "data") Object.assign(element.dataset, value);
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

export const $ = (id) => document.getElementById(id);

export function text(value) {
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}

// A web address that may be opened, or "" (never javascript:, data: and the like).
export function safeUrl(value) {
  try {
    const url = new URL(text(value));
    return url.protocol === "https:" || url.protocol === "http:" ? url.href : "";
  } catch {
    return "";
  }
}

const HUES = ["#5b53d6", "#0c7a6f", "#b44a6d", "#96620f", "#2f72b3", "#7a5bb5", "#447c38", "#ad5230"];

export function avatar(name, extra = "") {
  const letters = text(name).trim().split(/\s+/).slice(0, 2).map((word) => [...word][0] ?? "").join("").toUpperCase();
  let sum = 0;
  for (const letter of text(name)) sum = (sum * 31 + letter.codePointAt(0)) >>> 0;
  const element = h(`span.avatar${extra}`, { "aria-hidden": "true" }, letters || "?");
  element.style.backgroundColor = HUES[sum % HUES.length];
  return element;
}

// A button that is only a sign; its name is what it is called aloud and in the tooltip.
export function sign(name, label, onclick, attributes = {}) {
  return h("button.round", { type: "button", "aria-label": label, title: label, onclick, ...attributes }, icon(name));
}

const CLOCK = new Intl.DateTimeFormat([], { hour: "numeric", minute: "2-digit" }); // made once: making one is slow

export function time(at) {
  return CLOCK.format(at);
}

export function day(at, now = Date.now()) {
  const start = (moment) => new Date(moment).setHours(0, 0, 0, 0);
  const days = Math.round((start(now) - start(at)) / 86_400_000);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  if (days === -1) return "Tomorrow";
  if (days > 1 && days < 7) return new Date(at).toLocaleDateString([], { weekday: "long" });
  return new Date(at).toLocaleDateString([], { day: "numeric", month: "long", year: "numeric" });
}

// Seconds in the two largest units that matter: "23 h 12 min", "8 d", "40 s"; hours up to two days.
export function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const days = whole < 172_800 ? 0 : Math.floor(whole / 86400);
  const [hours, minutes] = [Math.floor((whole - days * 86400) / 3600), Math.floor((whole % 3600) / 60)];
  const parts = days ? [[days, "d"], [hours, "h"]] : [[hours, "h"], [minutes, "min"]];
  return parts.filter(([count]) => count).map(([count, unit]) => `${count} ${unit}`).join(" ");
}

export function size(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  return bytes < 1_048_576 ? `${Math.round(bytes / 1024)} kB` : `${(bytes / 1_048_576).toFixed(1)} MB`;
}
