// Draws one message. Everything from outside goes through text nodes, safeUrl() or a blob of a known type.

import { media } from "./api.js";
import { avatar, h, icon, safeUrl, size, text, time } from "./dom.js";
import { formatted, onlyEmoji } from "./format.js";

const SPOKEN = { clock: "Sending", sent: "Sent", delivered: "Delivered", read: "Read", played: "Played", failed: "Failed" };
const WORDS = { image: "Photo", video: "Video", audio: "Audio", document: "Document", sticker: "Sticker", location: "Location", contacts: "Contact", template: "Template", order: "Order", reaction: "Reaction" };

// One line about a message, for the chat list and quotes.
export function summary(message) {
  if (message.type === "reaction") return message.content?.emoji ? `Reacted ${message.content.emoji}` : "Removed a reaction";
  const words = text(message.text).slice(0, 400).replace(/\s+/g, " ").replace(/(?<!\w)(```|[*_~`])(\S|\S.*?\S)\1(?!\w)/g, "$2").trim();
  const kind = WORDS[message.type];
  if (!kind) return words || "Message";
  return words ? `${kind}: ${words}` : kind;
}

export function ticks(status) {
  const name = { clock: "clock", sent: "tick", failed: "alert" }[status] ?? "ticks";
  return h("span.ticks", { data: { status }, role: "img", "aria-label": SPOKEN[status] ?? "" }, icon(name));
}

// `acts`: tap(message, kind, content, label), sheet(message), place(message), reply(message), react(message, anchor),
// show(url, name), quoted(wamid) → message, jump(wamid), retry(message), bot() → name.
export function draw(message, acts) {
  const mine = message.direction === "in";
  const who = mine ? "You" : acts.bot();
  const bubble = h("div.bubble", {});
  const row = h("div.message", { data: { id: message.id, side: mine ? "mine" : "theirs", type: message.type }, role: "group", "aria-label": `${who}, ${time(message.at)}` });
  const quote = message.about && message.type !== "reaction" ? quoted(acts.quoted(message.about), acts) : null;
  bubble.append(...[quote, ...content(message, acts)].filter(Boolean), foot(message, mine));
  const reactions = reacted(message);
  if (reactions) row.classList.add("reacted");
  row.append(h("div.stack", {}, h("span.unseen", {}, `${who}: `), h("div.lane", {}, bubble, handles(message, acts)), reactions, below(message, acts), problem(message, acts)));
  return row;
}

function foot(message, mine) {
  const stamp = h("time", { datetime: new Date(message.at).toISOString() }, time(message.at));
  return h("span.foot", {}, stamp, mine ? ticks(message.status) : message.status === "failed" ? ticks("failed") : null);
}

// Moves the ticks of a drawn message along; nothing that can be tapped is touched.
export function retick(row, message) {
  if (message.direction === "in") row.querySelector(".foot .ticks")?.replaceWith(ticks(message.status));
}

function handles(message, acts) {
  return h("span.handles", {},
    h("button.round", { type: "button", "aria-label": "Reply", title: "Reply", onclick: () => acts.reply(message) }, icon("reply")),
    h("button.round", { type: "button", "aria-label": "React", title: "React", onclick: (event) => acts.react(message, event.currentTarget) }, icon("smile")));
}

function reacted(message) {
  const given = Object.values(message.reactions ?? {}).filter(Boolean);
  return given.length ? h("span.reactions", { role: "img", "aria-label": `Reactions: ${given.join(" ")}` }, ...given.map(text)) : null;
}

function quoted(original, acts) {
  if (!original) return null;
  const mine = original.direction === "in";
  return h("button.quote", { type: "button", data: { side: mine ? "mine" : "theirs" }, onclick: () => acts.jump(original.id) },
    h("strong", {}, mine ? "You" : acts.bot()), h("span", { dir: "auto" }, summary(original).slice(0, 160)));
}

function problem(message, acts) {
  if (message.status === "lost") {
    return h("p.problem", {}, `Not sent: ${text(message.problem)} `, h("button", { type: "button", onclick: () => acts.retry(message) }, "Try again"));
  }
  if (message.status !== "failed") return null;
  const error = message.error ?? {};
  const details = text(error.error_data?.details) || text(error.title);
  return h("p.problem", {}, `Not delivered (${text(error.code) || "?"}). ${details}`);
}

function body(words) {
  return words ? h("span.words", { dir: "auto" }, formatted(words)) : null;
}

function content(message, acts) {
  const c = message.content ?? {};
  switch (message.type) {
    case "text":
      return [onlyEmoji(text(message.text)) ? h("span.words.emoji", {}, text(message.text)) : body(text(message.text))];
    case "image": case "sticker":
      return [picture(message, acts, message.type === "sticker" ? "Sticker" : "Photo", c.link), body(text(c.caption))];
    case "video": case "audio":
      return [player(message, message.type, c.link), body(text(c.caption))];
    case "document":
      return [document_(message, text(c.filename), c.link), body(text(c.caption))];
    case "location":
      return [place(c)];
    case "contacts":
      return (Array.isArray(c) ? c : []).map(card);
    case "interactive":
      return message.direction === "in" ? [body(message.text)] : interactive(message, c, acts);
    case "template":
      return template(c);
    case "button":
      return [body(text(c.text))];
    case "order":
      return [body(`🛒 ${(c.product_items ?? []).length} item(s)${c.text ? `\n${text(c.text)}` : ""}`)];
    default:
      return [h("span.words.faint", {}, text(message.text) || `This phone cannot show “${message.type}”.`)];
  }
}

function interactive(message, c, acts) {
  const header = c.header ?? {};
  const found = [];
  if (header.type === "text") found.push(h("strong.title", { dir: "auto" }, text(header.text)));
  else if (header.type === "image") found.push(picture(message, acts, "Photo", header.image?.link));
  else if (header.type === "video") found.push(player(message, "video", header.video?.link));
  else if (header.type === "document") found.push(document_(message, text(header.document?.filename), header.document?.link));
  found.push(body(text(c.body?.text)));
  if (c.footer?.text) found.push(h("span.footer", { dir: "auto" }, text(c.footer.text)));
  return found;
}

// What can be tapped below a bubble.
function below(message, acts) {
  if (message.type !== "interactive" || message.direction === "in") return null;
  const c = message.content ?? {};
  const action = c.action ?? {};
  const made = [];
  if (c.type === "button") {
    for (const button of action.buttons ?? []) {
      const { id, title } = button.reply ?? {};
      made.push(option(text(title), "reply", message.chosen === id, () => acts.tap(message, "button", { id, title }, text(title))));
    }
  } else if (c.type === "list") made.push(option(text(action.button), "list", Boolean(message.chosen), () => acts.sheet(message), "dialog"));
  else if (c.type === "cta_url") {
    const href = safeUrl(action.parameters?.url);
    const label = text(action.parameters?.display_text);
    made.push(h("a.option", { href: href || undefined, target: "_blank", rel: "noopener noreferrer", title: href }, icon("link"), h("span", { dir: "auto" }, label)));
  } else if (c.type === "location_request_message") made.push(option("Send location", "pin", false, () => acts.place(message), "dialog"));
  else if (c.type === "flow") {
    const label = text(action.parameters?.flow_cta) || "Open form";
    made.push(option(label, "form", Boolean(message.chosen), () => acts.tap(message, "flow", null, "Sent")));
  }
  return made.length ? h("div.options", { role: "group", "aria-label": "Answers" }, ...made) : null;
}

function option(label, name, chosen, onclick, popup) {
  return h("button.option", { type: "button", onclick, "aria-pressed": popup ? undefined : chosen, "aria-haspopup": popup, data: { chosen } }, icon(chosen && !popup ? "tick" : name), h("span", { dir: "auto" }, label));
}

function template(c) {
  const values = (c.components ?? []).flatMap((part) => (part?.parameters ?? []).map((value) => text(value?.text) || text(value?.payload)));
  return [
    h("span.kicker", {}, "Template"), h("strong.title", { dir: "auto" }, text(c.name)),
    h("span.footer", {}, text(c.language?.code)), ...values.filter(Boolean).map((value) => h("span.words", { dir: "auto" }, value)),
  ];
}

function picture(message, acts, name, link) {
  const frame = h("button.picture", { type: "button", "aria-label": `${name}: open` }, h("span.loading", {}, name));
  if (!message.media) return linked(link, name, "photo");
  media(message.media).then(({ url, shown }) => {
    if (!shown) throw new Error("not a picture");
    const image = h("img", { src: url, alt: text(message.content?.caption) || name });
    image.addEventListener("load", () => frame.dispatchEvent(new CustomEvent("drawn", { bubbles: true })));
    frame.replaceChildren(image);
    frame.addEventListener("click", () => acts.show(url, text(message.content?.caption) || name));
  }).catch(() => frame.replaceChildren(h("span.loading", {}, `${name} (cannot be shown)`)));
  return frame;
}

function player(message, kind, link) {
  if (!message.media) return linked(link, WORDS[kind], "file");
  const frame = h(`span.player.${kind}`, {});
  media(message.media).then(({ url, shown }) => {
    frame.append(shown ? h(kind, { src: url, controls: true, preload: "metadata", "aria-label": WORDS[kind] }) : `${WORDS[kind]} (cannot be played)`);
  }).catch(() => frame.append(`${WORDS[kind]} (gone)`));
  return frame;
}

function document_(message, name, link) {
  if (!message.media) return linked(link, name || "Document", "file");
  const details = h("small", {}, "…");
  const link_ = h("a.document", { download: name || "document" }, h("span.paper", {}, icon("file")), h("span", {}, h("strong", { dir: "auto" }, name || "Document"), details));
  media(message.media).then(({ url, size: bytes, given }) => {
    link_.href = url;
    details.textContent = [(given.split("/")[1] ?? "").split(".").pop().toUpperCase().slice(0, 12), size(bytes)].filter(Boolean).join(" · ");
  }).catch(() => { details.textContent = "gone"; });
  return link_;
}

// A file that is only a link: shown as one, never fetched by itself.
function linked(link, name, symbol) {
  const href = safeUrl(link);
  return h("a.document", { href: href || undefined, target: "_blank", rel: "noopener noreferrer" }, h("span.paper", {}, icon(symbol)),
    h("span", {}, h("strong", { dir: "auto" }, name), h("small", {}, href ? new URL(href).host : "no link")));
}

function place(c) {
  const at = `${Number(c.latitude)}, ${Number(c.longitude)}`;
  const href = `https://www.openstreetmap.org/?mlat=${Number(c.latitude)}&mlon=${Number(c.longitude)}#map=16/${Number(c.latitude)}/${Number(c.longitude)}`;
  return h("a.place", { href, target: "_blank", rel: "noopener noreferrer" }, h("span.map", {}, h("span.needle", {}, icon("pin"))),
    h("span.where", {}, h("strong", { dir: "auto" }, text(c.name) || "Location"), h("small", { dir: "auto" }, text(c.address) || at)));
}

function card(contact) {
  const name = text(contact?.name?.formatted_name) || "Contact";
  const phones = (contact?.phones ?? []).map((phone) => text(phone?.phone) || text(phone?.wa_id)).filter(Boolean);
  return h("span.card", {}, avatar(name), h("span", {}, h("strong", { dir: "auto" }, name), h("small", {}, phones.join(", ") || text(contact?.emails?.[0]?.email))));
}
