// Sheets about the phones and the bots: another person, one person's number, another bot.

import { avatar, h, text } from "./dom.js";
import { close, field, form, open, sure } from "./sheets.js";

const PATTERN = "[+0-9\\(\\) .\\-]{7,25}"; // the v flag wants brackets escaped

const guess = () => `+1 555-012-${String(Math.floor(Math.random() * 9000) + 1000)}`;

export function newPhone(add) {
  const number = field("Phone number", { name: "phone", type: "tel", required: true, value: guess(), pattern: PATTERN });
  const username = field("Username", { name: "username", maxlength: 35, placeholder: "ana.writes", pattern: "@?[A-Za-z0-9._]{3,35}" });
  const hint = h("p.field-hint", {}, "The bot sees a user id instead of a number.");
  const change = ({ target }) => {
    const hidden = target.value === "username";
    number.hidden = hidden;
    number.lastChild.disabled = hidden;
    hint.hidden = !hidden;
    username.lastChild.required = hidden;
    username.firstChild.textContent = hidden ? "Username" : "Username (may be empty)";
  };
  const kind = switcher("How the bot knows them", [["number", "With a number"], ["username", "Username only"]], "number", change);
  change({ target: { value: "number" } });
  open("Add a phone", h("p.hint", {}, "Another person who can write to the bots, with chats of their own."),
    form("Add", (data) => add({ name: text(data.get("name")), phone: text(data.get("phone")), username: text(data.get("username")).replace(/^@/, "") || undefined }),
      field("Name", { name: "name", required: true, maxlength: 100, autofocus: true, placeholder: "Ana" }), kind, number, username, hint));
}

export function phone(found, { change, forget }) {
  const hasNumber = /^\d+$/.test(found.phone);
  const facts = [["Number", hasNumber ? found.number : ""], ["Username", found.username && `@${found.username}`], ["User id", found.user_id]];
  const person = h("div.person", {}, avatar(found.name), h("dl.facts", {}, ...facts.filter(([, value]) => value).flatMap(([name, value]) => [h("dt", {}, name), h("dd", { dir: "auto" }, value)])));
  open(found.name, person,
    hasNumber ? form("Change number", (data) => change(text(data.get("phone"))),
      field("New number", { name: "phone", type: "tel", required: true, value: guess(), pattern: PATTERN }),
      h("p.field-hint", {}, "Every bot with a chat here is told, as Meta does when a person takes another number.")) : null,
    h("div.last", {}, sure("Forget this phone", "Forget it and its chats?", () => { close(); forget(); })));
}

// Two or three ways, one of them chosen; `change` gets the event.
export function switcher(label, ways, chosen, change) {
  const name = `way-${label.replace(/\W+/g, "-").toLowerCase()}`;
  return h("fieldset.switcher", { onchange: change }, h("legend", {}, label), h("span.ways", {}, ...ways.map(([value, words]) => h("label", {},
    h("input", { type: "radio", name, value, checked: value === chosen }), h("span", {}, words)))));
}
