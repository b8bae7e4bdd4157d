// What is inside a bubble, kind by kind. Everything from outside goes through text nodes, safeUrl() or a blob of a known type.

import { media } from "./api.js";
import { avatar, h, icon, safeUrl, size, text } from "./dom.js";
import { formatted, onlyEmoji } from "./format.js";

const NAMES = { video: "Video", audio: "Audio" };
const array = (value) => (Array.isArray(value) ? value : []);

export function content(message, acts) {
  const c = message.content ?? {};
  switch (message.type) {
    case "text":
      return [onlyEmoji(text(message.text)) ? h("span.words.emoji", {}, text(message.text)) : body(text(message.text))];
    case "image": case "sticker": {
      const name = message.type === "sticker" ? "Sticker" : "Photo";
      return [picture(message.media, c.link, name, text(c.caption), acts), body(text(c.caption))];
    }
    case "video":
      return [player(message.media, c.link, "video"), body(text(c.caption))];
    case "audio":
      return [listened(c.voice === true ? voice(message) : player(message.media, c.link, "audio"), message, acts)];
    case "document":
      return [paper(message.media, c.link, text(c.filename)), body(text(c.caption))];
    case "location":
      return [place(c)];
    case "contacts":
      return array(c).map(card);
    case "interactive":
      return message.direction === "in" ? [body(text(message.text))] : interactive(message, c, acts);
    case "template":
      return message.template ? template(message, message.template, acts) : unresolved(c);
    case "button":
      return [body(text(c.text))];
    case "order":
      return [order(c)];
    case "unsupported": case "unknown":
      return [h("span.words.faint", {}, `A kind that bots cannot read${text(c.type) ? ` (${text(c.type)})` : ""}`)];
    default:
      return [h("span.words.faint", {}, text(message.text) || `This phone cannot show “${text(message.type)}”.`)];
  }
}

// What stands above the words: that it was passed on, and the advertisement that it came from.
export function marks(message) {
  const { forwarded, frequently_forwarded: often } = message.context ?? {};
  const passed = forwarded || often ? h("span.mark", {}, icon("forward"), often ? "Forwarded many times" : "Forwarded") : null;
  return [passed, message.referral ? advertisement(message.referral) : null];
}

function advertisement(referral) {
  const href = safeUrl(referral.source_url);
  return h("a.advert", { href: href || undefined, target: "_blank", rel: "noopener noreferrer" },
    h("span.mark", {}, icon("ad"), referral.source_type === "post" ? "From a post" : "From an ad"),
    h("strong", { dir: "auto" }, text(referral.headline)), h("span", { dir: "auto" }, text(referral.body)),
    h("small", {}, href ? new URL(href).host : ""));
}

function body(words) {
  return words ? h("span.words", { dir: "auto" }, formatted(words)) : null;
}

function interactive(message, c, acts) {
  return [heading(c.header, message, acts), body(text(c.body?.text)), footer(c.footer?.text)];
}

function template(message, { header, body: words, footer: below }, acts) {
  return [h("span.kicker", {}, "Template"), heading(header, message, acts), body(text(words)), footer(below)];
}

function heading(header, message, acts) {
  const kind = text(header?.type).toLowerCase();
  const file = header?.[kind] ?? {};
  const id = text(header?.media) || message.media;
  const link = header?.link ?? file.link;
  if (kind === "text") return h("strong.title", { dir: "auto" }, text(header.text));
  if (kind === "image") return picture(id, link, "Photo", "", acts);
  if (kind === "video") return player(id, link, "video");
  return kind === "document" ? paper(id, link, text(file.filename) || text(header.filename)) : null;
}

const footer = (words) => (text(words) ? h("span.footer", { dir: "auto" }, text(words)) : null);

// A template of which only the parameters are known.
function unresolved(c) {
  const values = array(c.components).flatMap((part) => array(part?.parameters).map((value) => text(value?.text) || text(value?.payload)));
  return [
    h("span.kicker", {}, "Template"), h("strong.title", { dir: "auto" }, text(c.name)),
    h("span.footer", {}, text(c.language?.code)), ...values.filter(Boolean).map((value) => h("span.words", { dir: "auto" }, value)),
  ];
}

function picture(id, link, name, caption, acts) {
  const frame = h("button.picture", { type: "button", "aria-label": `${name}: open` }, h("span.loading", {}, name));
  if (!id) return linked(link, name, "photo");
  media(id).then(({ url, shown }) => {
    if (!shown) throw new Error("not a picture");
    const image = h("img", { src: url, alt: caption || name });
    image.addEventListener("load", () => frame.dispatchEvent(new CustomEvent("drawn", { bubbles: true })));
    image.addEventListener("error", () => frame.replaceChildren(h("span.loading", {}, `${name} (cannot be shown)`)));
    frame.replaceChildren(image);
    frame.addEventListener("click", () => acts.show(url, caption || name));
  }).catch(() => frame.replaceChildren(h("span.loading", {}, `${name} (cannot be shown)`)));
  return frame;
}

function player(id, link, kind) {
  if (!id) return linked(link, NAMES[kind], "file");
  const frame = h(`span.player.${kind}`, {});
  const drawn = () => frame.dispatchEvent(new CustomEvent("drawn", { bubbles: true }));
  media(id).then(({ url, shown }) => {
    frame.append(shown ? h(kind, { src: url, controls: true, preload: "metadata", "aria-label": NAMES[kind], onloadedmetadata: drawn }) : `${NAMES[kind]} (cannot be played)`);
    drawn();
  }).catch(() => frame.append(`${NAMES[kind]} (gone)`));
  return frame;
}

// Media events do not bubble, but they can be caught on their way down.
function listened(frame, message, acts) {
  if (message.direction === "out") frame.addEventListener("play", () => acts.played(message), { capture: true, once: true });
  return frame;
}

const voice = (message) => h("span.voice", {}, h("span.dot", {}, icon("mic")), player(message.media, "", "audio"));

function paper(id, link, name) {
  if (!id) return linked(link, name || "Document", "file");
  const details = h("small", {}, "…");
  const row = h("a.document", { download: name || "document" }, h("span.paper", {}, icon("file")), h("span", {}, h("strong", { dir: "auto" }, name || "Document"), details));
  media(id).then(({ url, size: bytes, given }) => {
    row.href = url;
    details.textContent = [(given.split("/")[1] ?? "").split(".").pop().toUpperCase().slice(0, 12), size(bytes)].filter(Boolean).join(" · ");
  }).catch(() => { details.textContent = "gone"; });
  return row;
}

// A file that is only a link: shown as one, never fetched by itself.
function linked(link, name, symbol) {
  const href = safeUrl(link);
  return h("a.document", { href: href || undefined, target: "_blank", rel: "noopener noreferrer" }, h("span.paper", {}, icon(symbol)),
    h("span", {}, h("strong", { dir: "auto" }, name), h("small", {}, href ? new URL(href).host : "not here")));
}

function place(c) {
  const [latitude, longitude] = [Number(c.latitude), Number(c.longitude)];
  const href = `https://www.openstreetmap.org/?mlat=${latitude}&mlon=${longitude}#map=16/${latitude}/${longitude}`;
  return h("a.place", { href, target: "_blank", rel: "noopener noreferrer" }, h("span.map", {}, h("span.needle", {}, icon("pin"))),
    h("span.where", {}, h("strong", { dir: "auto" }, text(c.name) || "Location"), h("small", { dir: "auto" }, text(c.address) || `${latitude}, ${longitude}`)));
}

function card(contact) {
  const name = text(contact?.name?.formatted_name) || "Contact";
  const phones = array(contact?.phones).map((phone) => text(phone?.phone) || text(phone?.wa_id)).filter(Boolean);
  return h("span.card", {}, avatar(name), h("span", {}, h("strong", { dir: "auto" }, name), h("small", { dir: "auto" }, phones.join(", ") || text(contact?.emails?.[0]?.email))));
}

function order(c) {
  const items = array(c.product_items);
  const count = items.reduce((sum, item) => sum + (Number(item?.quantity) || 0), 0);
  const total = items.reduce((sum, item) => sum + (Number(item?.quantity) || 0) * (Number(item?.item_price) || 0), 0);
  const price = [total.toFixed(2), text(items[0]?.currency)].filter(Boolean).join(" ");
  return h("span.card", {}, h("span.paper", {}, icon("cart")),
    h("span", {}, h("strong", {}, `${count} ${count === 1 ? "item" : "items"} · ${price}`), h("small", { dir: "auto" }, text(c.text) || "Sent from the catalogue")));
}
