// What slides up over the chat: the frame of every sheet, and the small ones.

import { $, h, icon, sign, text } from "./dom.js";

const EMOJI = ["👍", "❤️", "😂", "😮", "🙏", "🎉"];

export function close() {
  $("sheet").close();
}

export function open(title, ...parts) {
  const sheet = $("sheet");
  const heading = h("h2", { id: "sheet-title", dir: "auto" }, title);
  const shut = sign("close", "Close", close);
  sheet.classList.remove("wide");
  sheet.replaceChildren(h("div.sheet-head", {}, heading, shut), ...parts.filter(Boolean));
  sheet.setAttribute("aria-labelledby", "sheet-title");
  sheet.onclick = (event) => { if (event.target === sheet) close(); };
  if (!sheet.open) sheet.showModal();
  (sheet.querySelector("[autofocus], .choice") ?? shut).focus();
  return sheet;
}

// Says in the open sheet why something could not be done; without words, nothing any more.
export function problem(words) {
  const sheet = $("sheet");
  sheet.querySelector(".sheet-problem")?.remove();
  if (words) sheet.querySelector(".sheet-head").append(h("p.sheet-problem", { role: "alert" }, words));
}

export function choice(first, second, onclick, before, chosen = false) {
  return h("button.choice", { type: "button", onclick, "aria-current": chosen ? "true" : undefined }, before,
    h("span", {}, h("strong", { dir: "auto" }, first), second ? h("small", { dir: "auto" }, second) : null), chosen ? icon("tick") : null);
}

// A choice that closes the sheet first.
export function pick(name, first, second, does) {
  return choice(first, second, () => { close(); does(); }, h("span.dot", {}, icon(name)));
}

export function field(label, attributes, control = "input", ...inside) {
  return h("label.field", {}, h("span", {}, label), h(control, attributes, ...inside));
}

export function form(button, submit, ...fields) {
  const onsubmit = (event) => {
    event.preventDefault();
    close();
    submit(new FormData(event.target));
  };
  return h("form", { onsubmit }, ...fields, h("button.primary", { type: "submit" }, button));
}

// A button for what cannot be undone: the first press asks, the second does it.
export function sure(label, question, does) {
  const button = h("button.danger", { type: "button", onclick: () => {
    if (button.dataset.asked) return does();
    button.dataset.asked = "true";
    button.textContent = question;
  }, onblur: () => {
    delete button.dataset.asked;
    button.textContent = label;
  } }, label);
  return button;
}

export function list(message, choose) {
  const action = message.content?.action ?? {};
  const parts = (action.sections ?? []).map((section) => h("section", {},
    section.title ? h("h3", { dir: "auto" }, text(section.title)) : null,
    ...(section.rows ?? []).map((row) => choice(text(row.title), text(row.description), () => { close(); choose(row); }, null, message.chosen === row.id))));
  open(text(action.button), ...parts);
}

export function react(message, send) {
  const now = message.reactions?.in ?? "";
  const give = (emoji) => () => { close(); send(now === emoji ? "" : emoji); };
  const row = h("div.emojis", {}, ...EMOJI.map((emoji) =>
    h("button.choice", { type: "button", "aria-pressed": String(now === emoji), "aria-label": `React with ${emoji}`, onclick: give(emoji) }, emoji)));
  open("React", row);
}

export function picture(url, name) {
  const viewer = $("viewer");
  const shut = () => viewer.close();
  viewer.replaceChildren(sign("close", "Close", shut), h("img", { src: url, alt: name }), h("p", { dir: "auto" }, name === "Photo" ? "" : name));
  viewer.onclick = (event) => { if (!event.target.closest("button")) shut(); };
  viewer.showModal();
}
