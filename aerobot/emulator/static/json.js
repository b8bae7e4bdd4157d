// JSON for reading: indented, coloured, copied with one press. Only text nodes are made of it.

import { h, icon, size } from "./dom.js";

const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(?:true|false|null)\b|-?\d[\d.eE+-]*/g;
const LONGEST = 200_000; // characters that are coloured; what is longer is shown as it is

// A text as JSON if it is one; else as it is.
function pretty(source) {
  let words = source;
  try {
    words = JSON.stringify(JSON.parse(source), null, 2);
  } catch {
    return h("pre.code", { tabindex: "0" }, source);
  }
  return h("pre.code", { tabindex: "0" }, ...(words.length > LONGEST ? [words] : coloured(words)));
}

function coloured(words) {
  const found = [];
  let last = 0;
  for (const match of words.matchAll(TOKEN)) {
    const [whole, string, colon] = match;
    const kind = string ? (colon ? "key" : "string") : /[a-z]/.test(whole[0]) ? "word" : "number";
    const token = string ?? whole;
    found.push(words.slice(last, match.index), h(`span.${kind}`, {}, token));
    last = match.index + token.length;
  }
  found.push(words.slice(last));
  return found.filter(Boolean);
}

// A body with a head: what it is, how large, readable or exactly as it was sent, and a button that copies the latter.
export function body(title, source, { copy, exact = false }) {
  const readable = pretty(source);
  const raw = h("pre.code.raw", { tabindex: "0", hidden: true }, source);
  const toggle = h("button.small", { type: "button", "aria-pressed": "false", onclick: () => {
    raw.hidden = !raw.hidden;
    readable.hidden = !raw.hidden;
    toggle.setAttribute("aria-pressed", String(!raw.hidden));
  } }, "As sent");
  const words = h("span", { role: "status" }, "Copy");
  const button = h("button.small", { type: "button", onclick: async () => {
    words.textContent = await copy(source);
  } }, icon("copy"), words);
  const bytes = size(new TextEncoder().encode(source).length);
  return h("div.body", {}, h("div.body-head", {}, h("strong", {}, title), h("small", {}, bytes), exact ? toggle : null, button), readable, exact ? raw : null);
}
