// Sheets for what a person sends: files, voice, stickers, places, contacts, and the rarer kinds.

import { avatar, h, icon, size, text } from "./dom.js";
import { record } from "./recorder.js";
import { VOICE } from "./sample.js";
import { choice, close, field, form, open, pick, problem } from "./sheets.js";

const PLACES = [
  { name: "Vondelpark", address: "Amsterdam, Netherlands", latitude: 52.357994, longitude: 4.868648 },
  { name: "Parque Ibirapuera", address: "São Paulo, Brazil", latitude: -23.587416, longitude: -46.657634 },
  { name: "Lodhi Garden", address: "New Delhi, India", latitude: 28.593093, longitude: 77.219702 },
];
const PEOPLE = [["Sam Okafor", "+1 555-010-9921"], ["Inés Duarte", "+1 555-010-7712"], ["Mira Patel", "+1 555-010-3308"]];
const STICKERS = ["👋", "🥳", "😍", "🤔", "😭", "🙌", "🔥", "🍩", "🐙", "🌈", "🚀", "☕"];
const STICKER = 512; // pixels, Meta's size

export function file(chosen, send) {
  const isPicture = /^image\/(png|jpeg|gif|webp)$/.test(chosen.type);
  const url = isPicture ? URL.createObjectURL(chosen) : "";
  const shown = isPicture
    ? h("img.preview", { src: url, alt: "" })
    : h("span.document", {}, h("span.paper", {}, icon("file")), h("span", {}, h("strong", { dir: "auto" }, chosen.name), h("small", {}, size(chosen.size))));
  const sheet = open("Send a file", h("div.stage", {}, shown), form("Send", (data) => send(text(data.get("caption"))),
    chosen.type.startsWith("audio/") ? null : field("Caption", { name: "caption", maxlength: 1024, autofocus: true })));
  sheet.addEventListener("close", () => URL.revokeObjectURL(url), { once: true });
}

export function voice(send, choose) {
  open("Send a voice message",
    choice("Record", "with the microphone of this machine", () => recording(send), h("span.dot", {}, icon("mic"))),
    pick("wave", "A short sample", "one second of a tone, Opus in Ogg as a phone records it", () => send(new File([VOICE()], "voice.ogg", { type: "audio/ogg; codecs=opus" }))),
    pick("file", "A recording of yours", "any audio file, sent as a voice message", choose));
}

// Goes on until it is sent, or the sheet is closed.
async function recording(send) {
  let running;
  try {
    running = await record();
  } catch (error) {
    return problem(`The microphone cannot be used: ${error.message}`);
  }
  const since = Date.now();
  const shown = h("span.seconds", { role: "timer" }, "0:00");
  const tick = setInterval(() => { shown.textContent = clock((Date.now() - since) / 1000); }, 250);
  const stop = h("button.primary", { type: "button", autofocus: true, onclick: async () => {
    const file = await running.stop();
    close();
    send(file);
  } }, "Send");
  const sheet = open("Recording", h("div.recording", {}, h("span.beat", {}, icon("mic")), shown, stop));
  return sheet.addEventListener("close", () => {
    clearInterval(tick);
    running.drop();
  }, { once: true });
}

const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

export function sticker(send) {
  const made = STICKERS.map((emoji) => h("button.choice", { type: "button", "aria-label": `Sticker ${emoji}`, onclick: () => { close(); painted(emoji).then(send); } }, emoji));
  open("Send a sticker", h("div.emojis.grid", {}, ...made));
}

async function painted(emoji) {
  const canvas = h("canvas", { width: STICKER, height: STICKER });
  const brush = canvas.getContext("2d");
  brush.font = `${STICKER * 0.74}px ${getComputedStyle(document.documentElement).getPropertyValue("--emoji")}`;
  brush.textAlign = "center";
  brush.textBaseline = "middle";
  brush.fillText(emoji, STICKER / 2, STICKER * 0.54);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/webp", 0.9));
  return new File([blob], "sticker.webp", { type: blob.type });
}

export function place(send) {
  const rows = PLACES.map((found) => pick("pin", found.name, found.address, () => send(found)));
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

// The kinds that a person sends now and then, and that a bot forgets.
export function more(acts) {
  const words = (kind, otherwise, extra) => () => acts.words(kind, otherwise, extra);
  const mine = acts.lastWritten();
  open("Send something else",
    pick("forward", "Forwarded", "your words, marked as passed on", words("text", "Have you seen this?", { context: { forwarded: true } })),
    pick("forward", "Forwarded many times", "marked as passed on by many", words("text", "Everybody should read this!", { context: { frequently_forwarded: true } })),
    pick("ad", "From an ad", "the first message after a tap on an advertisement", words("text", "I saw your ad", { referral: true })),
    pick("cart", "A cart", "an order from the catalogue", words("order", "", {})),
    pick("form", "A poll", "a kind that bots cannot read", words("unsupported", "", {})),
    pick("smile", "First look at the chat", "opened, nothing written yet", words("request_welcome", "", {})),
    mine ? h("h3", {}, "Your last message") : null,
    mine ? pick("edit", "Edit it", "to what stands in the line below", () => acts.edit(mine)) : null,
    mine ? pick("trash", "Delete it for everyone", "", () => acts.say("revoke", { about: mine.id })) : null);
}
