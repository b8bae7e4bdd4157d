// What slides up over the chat: lists to choose from, files to send, places, contacts, reactions, pictures.

import { $, avatar, h, icon, size, text } from "./dom.js";

const PLACES = [
  { name: "Vondelpark", address: "Amsterdam, Netherlands", latitude: 52.357994, longitude: 4.868648 },
  { name: "Parque Ibirapuera", address: "São Paulo, Brazil", latitude: -23.587416, longitude: -46.657634 },
  { name: "Lodhi Garden", address: "New Delhi, India", latitude: 28.593093, longitude: 77.219702 },
];
const PEOPLE = [["Sam Okafor", "+1 555-010-9921"], ["Inés Duarte", "+1 555-010-7712"], ["Mira Patel", "+1 555-010-3308"]];
export const EMOJI = ["👍", "❤️", "😂", "😮", "🙏", "🎉"];

export function close() {
  $("sheet").close();
}

export function open(title, ...parts) {
  const sheet = $("sheet");
  const heading = h("h2", { id: "sheet-title", dir: "auto" }, title);
  const shut = h("button.round", { type: "button", "aria-label": "Close", onclick: close }, icon("close"));
  sheet.replaceChildren(h("div.sheet-head", {}, heading, shut), ...parts.filter(Boolean));
  sheet.setAttribute("aria-labelledby", "sheet-title");
  sheet.onclick = (event) => { if (event.target === sheet) close(); };
  if (!sheet.open) sheet.showModal();
  (sheet.querySelector("[autofocus], .choice") ?? shut).focus();
}

function choice(first, second, onclick, before, chosen = false) {
  return h("button.choice", { type: "button", onclick, "aria-current": chosen ? "true" : undefined }, before,
    h("span", {}, h("strong", { dir: "auto" }, first), second ? h("small", { dir: "auto" }, second) : null), chosen ? icon("tick") : null);
}

export function list(message, choose) {
  const action = message.content?.action ?? {};
  const parts = (action.sections ?? []).map((section) => h("section", {},
    section.title ? h("h3", { dir: "auto" }, text(section.title)) : null,
    ...(section.rows ?? []).map((row) => choice(text(row.title), text(row.description), () => { close(); choose(row); }, null, message.chosen === row.id))));
  open(text(action.button), ...parts);
}

function field(label, attributes) {
  return h("label.field", {}, h("span", {}, label), h("input", attributes));
}

function form(button, submit, ...fields) {
  const onsubmit = (event) => {
    event.preventDefault();
    close();
    submit(new FormData(event.target));
  };
  return h("form", { onsubmit }, ...fields, h("button.primary", { type: "submit" }, button));
}

export function place(send) {
  const rows = PLACES.map((found) => choice(found.name, found.address, () => { close(); send(found); }, h("span.dot", {}, icon("pin"))));
  const own = form("Send this place", (data) => send({ latitude: Number(data.get("latitude")), longitude: Number(data.get("longitude")) }),
    h("div.pair", {}, field("Latitude", { name: "latitude", type: "number", step: "any", min: -90, max: 90, required: true, value: "48.858370" }),
      field("Longitude", { name: "longitude", type: "number", step: "any", min: -180, max: 180, required: true, value: "2.294481" })));
  open("Send a location", ...rows, h("h3", {}, "Or anywhere"), own);
}

export function person(send) {
  const rows = PEOPLE.map(([name, phone]) => choice(name, phone, () => { close(); send(name, phone); }, avatar(name)));
  const own = form("Send this contact", (data) => send(text(data.get("name")), text(data.get("phone"))),
    field("Name", { name: "name", required: true, maxlength: 100 }), field("Phone", { name: "phone", type: "tel", maxlength: 30 }));
  open("Send a contact", ...rows, h("h3", {}, "Or somebody else"), own);
}

export function newPhone(add) {
  const number = `+1 555-012-${String(Math.floor(Math.random() * 9000) + 1000)}`;
  open("Add a phone", h("p.hint", {}, "Another person who can write to the bot, with a chat of their own."), form("Add", (data) => add(text(data.get("name")), text(data.get("phone"))),
    field("Name", { name: "name", required: true, maxlength: 100, autofocus: true, placeholder: "Ana" }), field("Phone number", { name: "phone", type: "tel", required: true, value: number, pattern: "[+0-9() .\\-]{7,25}" })));
}

export function file(chosen, send) {
  const isPicture = /^image\/(png|jpeg|gif|webp)$/.test(chosen.type);
  const url = isPicture ? URL.createObjectURL(chosen) : "";
  const shown = isPicture
    ? h("img.preview", { src: url, alt: "" })
    : h("span.document", {}, h("span.paper", {}, icon("file")), h("span", {}, h("strong", { dir: "auto" }, chosen.name), h("small", {}, size(chosen.size))));
  $("sheet").addEventListener("close", () => URL.revokeObjectURL(url), { once: true });
  open("Send a file", h("div.stage", {}, shown), form("Send", (data) => send(text(data.get("caption"))),
    chosen.type.startsWith("audio/") ? null : field("Caption", { name: "caption", maxlength: 1024, autofocus: true })));
}

export function react(message, send) {
  const now = message.reactions?.in ?? "";
  const row = h("div.emojis", {}, ...EMOJI.map((emoji) => h("button.choice", { type: "button", "aria-pressed": now === emoji, "aria-label": `React with ${emoji}`, onclick: () => { close(); send(now === emoji ? "" : emoji); } }, emoji)));
  open("React", row);
}

export function picture(url, name) {
  const viewer = $("viewer");
  const shut = () => viewer.close();
  viewer.replaceChildren(h("button.round", { type: "button", "aria-label": "Close", onclick: shut }, icon("close")), h("img", { src: url, alt: name }), h("p", { dir: "auto" }, name === "Photo" ? "" : name));
  viewer.onclick = (event) => { if (event.target.tagName !== "BUTTON") shut(); };
  viewer.showModal();
}
