// The list at the left: with one bot a row for each phone, with several a phone's chats below its name.
// A row is only drawn anew when its chat has changed.

import { summary, ticks } from "./bubbles.js";
import { $, avatar, h, time } from "./dom.js";

export class Chats {
  // `page` has store, current and choose().
  constructor(page) {
    this.page = page;
    this.buttons = new Map();
  }

  // Everything anew: phones or bots have come or gone.
  build() {
    const { store } = this.page;
    const several = store.numbers.size > 1;
    const focused = [...this.buttons].find(([, button]) => button === document.activeElement)?.[0];
    this.buttons.clear();
    $("phones").replaceChildren(...[...store.phones.values()].map((phone) => {
      const rows = [...store.numbers.keys()].map((number) => this.#item(store.chat(phone.phone, number)));
      return several ? this.#group(phone, rows) : rows[0];
    }));
    this.buttons.get(focused)?.focus();
  }

  #group(phone, rows) {
    const id = `of-${phone.phone}`;
    const shown = phone.number === `@${phone.username}` || phone.username === "" ? phone.number : `${phone.number} · @${phone.username}`;
    return h("li.group", {}, h("p.group-head", { id }, h("strong", { dir: "auto" }, phone.name), h("small", { dir: "auto" }, shown)), h("ul", { role: "list", "aria-labelledby": id }, ...rows));
  }

  // The button stays the same while it is filled anew: somebody may be about to press it.
  #item(chat) {
    const button = h("button.phone", { type: "button", data: { phone: chat.phone, number: chat.number }, onclick: () => this.page.choose(chat.phone, chat.number) });
    this.buttons.set(chat, button);
    this.draw(chat);
    return h("li", {}, button);
  }

  draw(chat) {
    const button = this.buttons.get(chat);
    if (!button) return;
    if (chat === this.page.open) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
    button.replaceChildren(...this.#inside(chat));
  }

  #inside(chat) {
    const { store } = this.page;
    const typing = store.typing(chat);
    const { last } = chat;
    const name = store.numbers.size > 1 ? store.numbers.get(chat.number).name : store.phones.get(chat.phone).name;
    const line = typing ? "typing…" : last ? summary(last) : "No messages yet";
    const badge = chat.unread.size ? h("span.badge", { role: "img", "aria-label": `${chat.unread.size} unread` }, String(chat.unread.size)) : null;
    return [avatar(name), h("span.phone-lines", {},
      h("span.phone-top", {}, h("strong", { dir: "auto" }, name), last ? h("time", {}, time(last.at)) : null),
      h("span.phone-last", { data: { typing } }, last?.direction === "in" && !typing ? ticks(last.status) : null, h("span", { dir: "auto" }, line), badge))];
  }

  // The button of the open chat, or of the first.
  focus() {
    ($("phones").querySelector("[aria-current]") ?? $("phones").querySelector("button"))?.focus();
  }
}
