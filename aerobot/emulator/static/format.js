// WhatsApp's formatting as elements: *bold* _italic_ ~strike~ `code` ```mono``` > quote, lists, and web addresses.
// It only ever makes text nodes and a fixed set of elements.

import { h, safeUrl } from "./dom.js";

const MARKS = { "*": "strong", _: "em", "~": "s" };
const ADDRESS = /https?:\/\/[^\s<>"“”]+/giu;
const LONGEST = 10_000; // characters; what is longer is shown as it is
const WORD = /[\p{L}\p{N}]/u;
const ONLY_EMOJI = /^(?:\p{Regional_Indicator}{2}|\p{Extended_Pictographic}(?:\p{Emoji_Modifier}|\uFE0F)?(?:\u200D\p{Extended_Pictographic}(?:\p{Emoji_Modifier}|\uFE0F)?)*){1,3}$/u;

export const onlyEmoji = (source) => ONLY_EMOJI.test(source.replace(/\s/gu, ""));

export function formatted(source) {
  const all = document.createDocumentFragment();
  if (source.length > LONGEST) {
    all.append(source);
    return all;
  }
  source.split("```").forEach((piece, place, pieces) => {
    const closed = place % 2 === 1 && place < pieces.length - 1;
    if (closed) all.append(h("code.mono", {}, piece.replace(/^\n/, "")));
    else all.append(...blocks(place % 2 === 1 ? "```" + piece : piece));
  });
  return all;
}

function blocks(source) {
  const found = [];
  const lines = source.split("\n");
  for (let at = 0; at < lines.length; at += 1) {
    const quote = lines[at].match(/^> (.*)$/);
    const item = lines[at].match(/^(?:[*-] |(\d{1,3})\. )(.*)$/);
    if (quote) found.push(h("blockquote", {}, ...inline(quote[1])));
    else if (item) found.push(h("span.item", { data: { mark: item[1] ? `${item[1]}.` : "•" } }, ...inline(item[2])));
    else {
      found.push(...inline(lines[at]));
      if (at < lines.length - 1) found.push(document.createTextNode("\n"));
    }
  }
  return found;
}

function inline(source) {
  const found = [];
  let last = 0;
  for (const match of source.matchAll(ADDRESS)) {
    const address = match[0].replace(/[.,;:!?)\]}'*_~]+$/u, "");
    const href = safeUrl(address);
    if (!href) continue;
    found.push(...marked(source.slice(last, match.index)));
    found.push(h("a", { href, target: "_blank", rel: "noopener noreferrer" }, address));
    last = match.index + address.length;
  }
  found.push(...marked(source.slice(last)));
  return found;
}

function marked(source, depth = 0) {
  const found = [];
  let last = 0;
  for (let at = 0; at < source.length && depth < 8; at += 1) {
    const mark = source[at];
    const end = closing(source, at, mark);
    if (end < 0) continue;
    const inner = source.slice(at + 1, end);
    if (at > last) found.push(source.slice(last, at));
    found.push(mark === "`" ? h("code", {}, inner) : h(MARKS[mark], {}, ...marked(inner, depth + 1)));
    last = end + 1;
    at = end;
  }
  if (last < source.length) found.push(source.slice(last));
  return found;
}

// Where the mark that opens at `at` closes, or -1: it hugs its words and stands at their edges, as on a phone.
function closing(source, at, mark) {
  if (!(mark in MARKS) && mark !== "`") return -1;
  if (at > 0 && WORD.test(source[at - 1])) return -1;
  if (at + 1 >= source.length || /\s/u.test(source[at + 1])) return -1;
  for (let end = source.indexOf(mark, at + 2); end > 0; end = source.indexOf(mark, end + 1)) {
    const edge = end + 1 >= source.length || !WORD.test(source[end + 1]);
    if (edge && !/\s/u.test(source[end - 1])) return end;
  }
  return -1;
}
