// Draws one message: the bubble, its foot, and what can be done with it. What is inside comes from contents.js.

import { content, marks } from "./contents.js";
import { below } from "./options.js";
import { h, icon, sign, text, time } from "./dom.js";

const SPOKEN = { clock: "Sending", sent: "Sent", delivered: "Delivered", read: "Read", played: "Played", failed: "Failed", lost: "Not sent" };
const WORDS = { image: "Photo", video: "Video", audio: "Audio", document: "Document", sticker: "Sticker", location: "Location", contacts: "Contact", template: "Template", order: "Order" };
// What a phone tells in a line of its own, not in a bubble.
const LINES = {
  system: ({ content }) => text(content?.body) || "Something about this person changed.",
  request_welcome: () => "Opened this chat for the first time.",
  edit: () => "A message was edited.",
  revoke: () => "A message was deleted.",
};

export const isLine = (message) => message.type in LINES;

// One line about a message, for the chat list, quotes and screen readers.
export function summary(message) {
  if (message.revoked) return "Deleted message";
  if (isLine(message)) return LINES[message.type](message);
  if (message.type === "reaction") return message.content?.emoji ? `Reacted ${text(message.content.emoji)}` : "Removed a reaction";
  const said = message.type === "template" ? text(message.template?.body) || text(message.text) : text(message.text);
  const words = said.slice(0, 400).replace(/\s+/g, " ").replace(/(?<!\w)(```|[*_~`])(\S|\S.*?\S)\1(?!\w)/g, "$2").trim();
  const kind = message.content?.voice === true ? "Voice message" : WORDS[message.type];
  if (!kind) return words || (message.type === "unsupported" ? "A kind that bots cannot read" : "Message");
  return words && message.type !== "template" ? `${kind}: ${words}` : words || kind;
}

export function ticks(status) {
  const name = { clock: "clock", sent: "tick", failed: "alert", lost: "alert" }[status] ?? "ticks";
  return h("span.ticks", { data: { status }, role: "img", "aria-label": SPOKEN[status] ?? "" }, icon(name));
}

// `acts` is what can be done; acts.js says how.
export function draw(message, acts) {
  const mine = message.direction === "in";
  const who = mine ? "You" : acts.bot(message);
  const line = isLine(message);
  const row = h("article.message", {
    data: { id: message.id, side: mine ? "mine" : "theirs", type: message.type, line }, tabindex: "-1",
    "aria-label": `${who}, ${time(message.at)}: ${summary(message)}`,
  });
  const quote = message.about && !line && !message.revoked ? quoted(acts.quoted(message.about), acts) : null;
  const inside = line ? [h("span.words", { dir: "auto" }, summary(message))] : message.revoked ? [gone()] : [...marks(message), quote, ...content(message, acts)];
  const bubble = h("div.bubble", {}, ...inside.filter(Boolean), foot(message, mine));
  const reactions = reacted(message);
  if (reactions) row.classList.add("reacted");
  row.append(h("div.stack", {}, h("span.unseen", {}, `${who}: `), h("div.lane", {}, bubble, handles(message, acts)),
    reactions, message.revoked ? null : below(message, acts), problem(message, acts)));
  return row;
}

const gone = () => h("span.words.faint", {}, "This message was deleted.");

function foot(message, mine) {
  const stamp = h("time", { datetime: new Date(message.at).toISOString() }, time(message.at));
  return h("span.foot", {}, message.edited ? "edited" : null, stamp, mine ? ticks(message.status) : message.status === "failed" ? ticks("failed") : null);
}

// Moves the ticks of a drawn message along; nothing that can be tapped is touched.
export function retick(row, message) {
  if (message.direction === "in") row.querySelector(".foot .ticks")?.replaceWith(ticks(message.status));
}

// Reached by pointer, or from the focused message by the keys R, E and Enter.
function handles(message, acts) {
  const can = { tabindex: "-1" };
  return h("span.handles", {},
    isLine(message) ? null : sign("reply", "Reply", () => acts.reply(message), can),
    isLine(message) ? null : sign("smile", "React", () => acts.react(message), can),
    sign("inspect", "What happened behind it", () => acts.inspect(message), { ...can, "aria-haspopup": "dialog" }));
}

function reacted(message) {
  const given = Object.values(message.reactions ?? {}).filter(Boolean);
  return given.length ? h("span.reactions", { role: "img", "aria-label": `Reactions: ${given.join(" ")}` }, ...given.map(text)) : null;
}

function quoted(original, acts) {
  if (!original) return null;
  const mine = original.direction === "in";
  return h("button.quote", { type: "button", data: { side: mine ? "mine" : "theirs" }, onclick: () => acts.jump(original.id) },
    h("strong", {}, mine ? "You" : acts.bot(original)), h("span", { dir: "auto" }, summary(original).slice(0, 160)));
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
