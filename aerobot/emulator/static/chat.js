// The open chat: day by day, bubble by bubble, following the latest unless somebody scrolled up.

import { draw, retick } from "./bubbles.js";
import { $, day, h } from "./dom.js";

const PAGE = 200; // messages drawn at once; earlier ones come on demand
const TOGETHER = 4 * 60_000; // ms within which messages of one side form a group

export class Chat {
  constructor(acts) {
    this.acts = acts;
    this.log = $("log");
    this.thread = $("thread");
    this.rows = new Map();
    this.dots = h("div.message.typing", { data: { side: "theirs" }, "aria-hidden": "true" }, h("div.bubble.dots", {}, h("i"), h("i"), h("i")));
    this.following = true;
    this.log.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.log.addEventListener("drawn", () => this.#follow());
    new ResizeObserver(() => this.#follow()).observe(this.log);
    $("down").addEventListener("click", () => this.toEnd());
  }

  show(phone) {
    this.phone = phone;
    this.rows.clear();
    this.previous = null;
    const all = [...phone.messages.values()].filter((message) => message.type !== "reaction");
    const shown = all.slice(-PAGE);
    this.thread.replaceChildren();
    this.log.setAttribute("aria-live", "off");
    if (all.length > shown.length) this.thread.append(this.#earlier(all, shown.length));
    if (!all.length) this.thread.append(h("p.hello", {}, "Say something. What you write here goes to the bot as a WhatsApp message would."));
    for (const message of shown) this.#append(message);
    this.toEnd();
    setTimeout(() => this.log.setAttribute("aria-live", "polite"), 300);
  }

  #earlier(all, count) {
    return h("button.earlier", { type: "button", onclick: () => {
      const bottom = this.log.scrollHeight - this.log.scrollTop;
      const more = all.slice(-(count + PAGE));
      this.rows.clear();
      this.previous = null;
      this.thread.replaceChildren(...(all.length > more.length ? [this.#earlier(all, more.length)] : []));
      const later = [...this.phone.messages.values()].filter((message) => message.type !== "reaction" && !all.includes(message));
      for (const message of [...more, ...later]) this.#append(message);
      this.log.scrollTop = this.log.scrollHeight - bottom;
    } }, "Earlier messages");
  }

  // Adds a message, in the place of the one that the page had drawn ahead of it.
  add(message, mine, client = "") {
    this.thread.querySelector(".hello")?.remove();
    const ahead = client ? this.rows.get(client) : undefined;
    if (ahead) {
      this.rows.delete(client);
      const row = this.#draw(message);
      row.dataset.first = ahead.dataset.first;
      ahead.replaceWith(row);
      this.rows.set(message.id, row);
      if (this.previous?.id === client) this.previous = message;
    } else if (!this.rows.has(message.id)) this.#append(message, true);
    if (mine) this.toEnd();
    else this.#follow();
  }

  // A tick leaves the row in place: somebody may be about to tap it.
  tick(message) {
    const row = this.rows.get(message.id);
    if (message.status === "failed") this.redraw(message);
    else if (row) retick(row, message);
  }

  redraw(message) {
    const old = this.rows.get(message.id);
    if (!old) return;
    const focused = old.contains(document.activeElement) ? [...old.querySelectorAll("button, a")].indexOf(document.activeElement) : -1;
    const row = this.#draw(message);
    row.dataset.first = old.dataset.first;
    const frame = old.querySelector(".picture img, .player > *");
    if (frame) row.querySelector(".picture, .player")?.replaceWith(frame.parentElement);
    old.replaceWith(row);
    this.rows.set(message.id, row);
    if (focused >= 0) row.querySelectorAll("button, a")[focused]?.focus({ preventScroll: true });
    this.#follow();
  }

  #append(message, fresh = false) {
    const before = this.previous;
    const newDay = !before || new Date(before.at).toDateString() !== new Date(message.at).toDateString();
    if (newDay) this.thread.append(h("div.day", { role: "separator" }, h("span", {}, day(message.at))));
    const row = this.#draw(message);
    row.dataset.first = newDay || before.direction !== message.direction || message.at - before.at > TOGETHER;
    if (fresh) row.classList.add("fresh");
    this.thread.append(row);
    if (this.dots.isConnected) this.thread.append(this.dots);
    this.rows.set(message.id, row);
    this.previous = message;
  }

  #draw(message) {
    try {
      return draw(message, this.acts);
    } catch {
      return h("div.message", { data: { side: message.direction === "in" ? "mine" : "theirs", id: message.id } }, h("div.bubble", {}, "This message cannot be shown."));
    }
  }

  typing(on) {
    if (on && !this.dots.isConnected) this.thread.append(this.dots);
    else if (!on) this.dots.remove();
    this.#follow();
  }

  jump(id) {
    const row = this.rows.get(id);
    if (!row) return;
    row.scrollIntoView({ block: "center", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
    row.classList.remove("flash");
    requestAnimationFrame(() => row.classList.add("flash"));
  }

  toEnd() {
    this.following = true;
    this.log.scrollTop = this.log.scrollHeight;
    $("down").hidden = true;
  }

  #follow() {
    if (this.following) this.log.scrollTop = this.log.scrollHeight;
    else this.#scrolled();
  }

  #scrolled() {
    const rest = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight;
    this.following = rest < 60;
    $("down").hidden = rest < 200;
  }
}
