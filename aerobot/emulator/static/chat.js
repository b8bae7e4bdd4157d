// The open chat: day by day, bubble by bubble, following the latest unless somebody scrolled up. Only a stretch of
// it is drawn, so that adding a message costs the same however long the chat is.

import { draw, isLine, retick } from "./bubbles.js";
import { $, day, h } from "./dom.js";

const PAGE = 150; // messages drawn at once; earlier ones come on demand
const MOST = 600; // drawn messages beyond which, while following, the oldest are taken away again
const TOGETHER = 4 * 60_000; // ms within which messages of one side form a group
const CALM = matchMedia("(prefers-reduced-motion: reduce)");

export class Chat {
  constructor(acts) {
    this.acts = acts;
    this.log = $("log");
    this.thread = $("thread");
    this.rows = new Map();
    this.list = [];
    this.dots = h("div.message.typing", { data: { side: "theirs" }, "aria-hidden": "true" }, h("div.bubble.dots", {}, h("i"), h("i"), h("i")));
    this.following = true;
    this.top = 0;
    this.log.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.log.addEventListener("drawn", () => this.#follow());
    this.thread.addEventListener("keydown", (event) => this.#key(event));
    this.thread.addEventListener("focusin", (event) => this.#stopAt(event.target.closest("article")));
    new ResizeObserver(() => this.#follow()).observe(this.log);
    $("down").addEventListener("click", () => this.toEnd());
  }

  show(chat) {
    this.chat = chat;
    this.list = [...chat.messages.values()].filter((message) => message.type !== "reaction");
    this.start = Math.max(0, this.list.length - PAGE);
    this.rows.clear();
    this.stop = null;
    this.thread.replaceChildren();
    this.log.setAttribute("aria-live", "off");
    if (this.#hasEarlier()) this.thread.append(this.#earlier());
    if (!this.list.length) this.thread.append(h("p.hello", {}, "Say something. What you write here goes to the bot as a WhatsApp message would."));
    for (let place = this.start; place < this.list.length; place += 1) this.thread.append(...this.#made(place));
    this.#stopAt(this.thread.querySelector("article:last-of-type"));
    this.toEnd();
    setTimeout(() => this.log.setAttribute("aria-live", "polite"), 300);
  }

  // -- what is drawn --

  // The nodes of the message at this place: its row, after a separator where a day begins.
  #made(place) {
    const message = this.list[place];
    const before = this.list[place - 1];
    const newDay = !before || new Date(before.at).toDateString() !== new Date(message.at).toDateString();
    const row = this.#draw(message);
    const apart = newDay || before.direction !== message.direction || message.at - before.at > TOGETHER || isLine(before);
    row.dataset.first = apart;
    this.rows.set(message.id, row);
    return newDay ? [this.#day(message), row] : [row];
  }

  #day(message) {
    return h("div.day", { role: "separator", data: { at: message.at } }, h("span", {}, day(message.at, this.acts.now())));
  }

  // The clock was moved: what was today may be yesterday.
  renameDays() {
    for (const one of this.thread.querySelectorAll(".day")) one.firstChild.textContent = day(Number(one.dataset.at), this.acts.now());
  }

  #draw(message) {
    try {
      return draw(message, this.acts);
    } catch {
      return h("article.message", { tabindex: "-1", data: { side: message.direction === "in" ? "mine" : "theirs", id: message.id } }, h("div.bubble", {}, "This message cannot be shown."));
    }
  }

  #hasEarlier() {
    return this.start > 0 || this.chat.more;
  }

  #earlier() {
    return h("button.earlier", { type: "button", onclick: () => this.#showEarlier() }, "Earlier messages");
  }

  async #showEarlier() {
    const { chat } = this;
    if (!this.start && chat.more) {
      await this.acts.loadEarlier(chat);
      if (this.chat !== chat) return;
      this.list = [...chat.messages.values()].filter((message) => message.type !== "reaction");
      this.start = this.list.length - this.rows.size;
    }
    const bottom = this.log.scrollHeight - this.log.scrollTop;
    const from = Math.max(0, this.start - PAGE);
    const nodes = [];
    for (let place = from; place < this.start; place += 1) nodes.push(...this.#made(place));
    this.#cutBefore(this.start);
    this.thread.prepend(...nodes);
    this.start = from;
    if (this.#hasEarlier()) this.thread.prepend(this.#earlier());
    nodes.find((node) => node.localName === "article")?.focus({ preventScroll: true });
    this.log.scrollTop = this.log.scrollHeight - bottom;
  }

  // Takes away what stands before the message at this place, and draws its own head anew.
  #cutBefore(place) {
    const old = this.rows.get(this.list[place]?.id);
    if (!old) return;
    while (old.previousSibling) old.previousSibling.remove();
    old.replaceWith(...this.#made(place));
  }

  // Keeps the page light during a flood.
  #prune() {
    if (!this.following || this.rows.size <= MOST) return;
    const start = this.list.length - PAGE;
    for (let place = this.start; place < start; place += 1) this.rows.delete(this.list[place].id);
    this.start = start;
    this.#cutBefore(start);
    this.thread.prepend(this.#earlier());
    this.top = 0;
  }

  // -- what changes --

  // Adds a message, in the place of the one that the page had drawn ahead of it.
  add(message, client = "") {
    this.thread.querySelector(".hello")?.remove();
    const ahead = client ? this.rows.get(client) : undefined;
    if (ahead) this.#replace(ahead, message, client);
    else if (!this.rows.has(message.id)) this.#append(message);
    this.#follow();
  }

  #replace(ahead, message, client) {
    this.rows.delete(client);
    this.list[this.list.findLastIndex((found) => found.id === client)] = message;
    const row = this.#draw(message);
    row.dataset.first = ahead.dataset.first;
    row.tabIndex = ahead.tabIndex;
    if (this.stop === ahead) this.stop = row;
    ahead.replaceWith(row);
    this.rows.set(message.id, row);
  }

  #append(message) {
    this.list.push(message);
    const nodes = this.#made(this.list.length - 1);
    nodes.at(-1).classList.add("fresh");
    this.thread.append(...nodes);
    if (this.dots.isConnected) this.thread.append(this.dots);
    if (!this.thread.contains(document.activeElement)) this.#stopAt(nodes.at(-1));
    this.#prune();
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
    const reachable = (row) => [row, ...row.querySelectorAll("button, a")];
    const focused = reachable(old).indexOf(document.activeElement);
    const row = this.#draw(message);
    row.dataset.first = old.dataset.first;
    row.tabIndex = old.tabIndex;
    if (this.stop === old) this.stop = row;
    const frame = old.querySelector(".picture img, .player > *");
    if (frame) row.querySelector(".picture, .player")?.replaceWith(frame.parentElement);
    old.replaceWith(row);
    this.rows.set(message.id, row);
    if (focused >= 0) reachable(row)[focused]?.focus({ preventScroll: true });
    this.#follow();
  }

  typing(on) {
    if (on === this.dots.isConnected) return;
    if (on) this.thread.append(this.dots);
    else this.dots.remove();
    this.#follow();
  }

  // -- the keyboard --

  // One message at a time is a stop of the Tab key; the arrows go from one to the next.
  #stopAt(row) {
    if (!row || row === this.stop) return;
    if (this.stop) this.stop.tabIndex = -1;
    row.tabIndex = 0;
    this.stop = row;
  }

  #key(event) {
    const row = event.target;
    if (row.localName !== "article" || event.ctrlKey || event.metaKey || event.altKey) return;
    const rows = () => [...this.thread.querySelectorAll("article")];
    const message = this.acts.quoted(row.dataset.id);
    const does = {
      ArrowUp: () => rows().at(Math.max(0, rows().indexOf(row) - 1)).focus(),
      ArrowDown: () => rows()[rows().indexOf(row) + 1]?.focus(),
      Home: () => rows()[0].focus(),
      End: () => rows().at(-1).focus(),
      Enter: () => message && this.acts.inspect(message),
      r: () => message && !isLine(message) && this.acts.reply(message),
      e: () => message && !isLine(message) && this.acts.react(message),
      Escape: () => this.acts.write(),
    }[event.key];
    if (!does) return;
    event.preventDefault();
    does();
  }

  focusLast() {
    (this.stop ?? this.thread.querySelector("article:last-of-type"))?.focus();
  }

  focus(id) {
    this.rows.get(id)?.focus({ preventScroll: true });
  }

  // Brings a message into view if it is not; following the latest goes on only where that is in view too.
  reveal(id) {
    const row = this.rows.get(id);
    if (!row) return;
    const [inner, outer] = [row.getBoundingClientRect(), this.log.getBoundingClientRect()];
    if (inner.top >= outer.top && inner.bottom <= outer.bottom) return;
    this.following = false;
    row.scrollIntoView({ block: "center" });
  }

  // Marks the message that the drawer tells about.
  mark(id) {
    this.thread.querySelector("article[aria-current]")?.removeAttribute("aria-current");
    this.rows.get(id)?.setAttribute("aria-current", "true");
  }

  // -- scrolling --

  jump(id) {
    const row = this.rows.get(id);
    if (!row) return;
    row.scrollIntoView({ block: "center", behavior: CALM.matches ? "auto" : "smooth" });
    row.classList.remove("flash");
    requestAnimationFrame(() => row.classList.add("flash"));
  }

  toEnd() {
    this.following = true;
    this.#follow();
    $("down").hidden = true;
  }

  // At most once a frame: many messages at once are laid out together.
  #follow() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      if (this.following) this.log.scrollTop = this.log.scrollHeight;
      else this.#scrolled();
    });
  }

  // Upwards is a person's doing; what grows below or goes above is not.
  #scrolled() {
    const { scrollTop: top, scrollHeight, clientHeight } = this.log;
    const rest = scrollHeight - top - clientHeight;
    if (rest < 60) this.following = true;
    else if (top < this.top - 1) this.following = false;
    this.top = top;
    $("down").hidden = this.following || rest < 200;
  }
}
