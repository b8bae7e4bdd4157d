// The drawer: for one message the webhook that told of it, each attempt to deliver that, the Graph calls, the receipts.

import { get } from "./api.js";
import { summary } from "./bubbles.js";
import { $, h, icon, sign, text, time } from "./dom.js";
import { PANELS, next } from "./panels.js";

const SOON = 120; // ms in which several happenings lead to one look
const NARROW = matchMedia("(max-width: 760px)");
const NAMES = [["webhook", "Webhook"], ["attempts", "Attempts"], ["graph", "Graph"], ["receipts", "Receipts"]];

export class Drawer {
  // `page` has store, chat and acts.
  constructor(page) {
    this.page = page;
    this.box = $("drawer");
    this.tab = "webhook";
    this.box.addEventListener("keydown", (event) => event.key === "Escape" && this.close());
    NARROW.addEventListener("change", () => this.id && this.#behind());
    setInterval(() => this.#countDown(), 1000);
  }

  async open(message) {
    this.id = message.id;
    this.found = null;
    this.said = "";
    this.box.hidden = false;
    document.body.classList.add("with-drawer");
    this.page.chat.mark(this.id);
    this.#behind();
    this.#frame(message);
    $("drawer-title").focus();
    this.page.chat.reveal(this.id);
    await this.#load();
  }

  close() {
    if (!this.id) return;
    const { id } = this;
    this.id = "";
    this.found = null;
    this.box.hidden = true;
    document.body.classList.remove("with-drawer");
    this.#behind();
    this.page.chat.mark("");
    this.page.chat.focus(id);
  }

  // Something happened: look again if it is about this message. A page's own name gives way to the real id.
  happened({ event, wamid, wamids, client, message }) {
    if (!this.id) return;
    if (client && client === this.id) this.id = message.id;
    const concerns = wamid === this.id || wamids?.includes(this.id) || event === "graph" || event === "settings";
    if (!concerns || this.timer) return;
    this.timer = setTimeout(() => {
      this.timer = 0;
      this.#load();
    }, SOON);
  }

  #countDown() {
    for (const one of this.box.querySelectorAll("[data-next]")) one.textContent = next(Number(one.dataset.next), this.page.store.now());
  }

  // On a narrow screen the drawer covers the rest, which then cannot be reached.
  #behind() {
    for (const id of ["phones-pane", "chat"]) $(id).inert = Boolean(this.id) && NARROW.matches;
  }

  async #load() {
    const { id } = this;
    if (!id) return;
    if (id.startsWith("local-")) {
      this.panel.replaceChildren(h("p.empty", {}, "This has not reached the emulator yet."));
      return;
    }
    try {
      const found = await get(`/_/messages/${encodeURIComponent(id)}`);
      if (this.id !== id) return;
      const said = JSON.stringify(found);
      if (said === this.said) return;
      this.said = said;
      this.found = found;
      this.#fill();
    } catch (error) {
      if (this.id === id) this.panel.replaceChildren(h("p.empty", {}, error.message));
    }
  }

  #frame(message) {
    const who = message.direction === "in" ? "You" : this.page.acts.bot(message);
    const heading = h("h2", { id: "drawer-title", tabindex: "-1", dir: "auto" }, summary(message).slice(0, 120));
    const head = h("header.drawer-head", {}, h("div", {}, heading, h("p", {}, `${who}, ${time(message.at)} · ${text(message.type)}`)), sign("close", "Close", () => this.close()));
    this.tabs = NAMES.map(([name, label]) => h("button.tab", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": "drawer-panel", onclick: () => this.#choose(name) }, label, h("span.count", {})));
    const list = h("div.tabs", { role: "tablist", "aria-label": "Of this message", onkeydown: (event) => this.#key(event) }, ...this.tabs);
    this.panel = h("div.panel", { role: "tabpanel", id: "drawer-panel", tabindex: "-1" }, h("p.empty", {}, "Looking…"));
    this.actions = h("footer.drawer-foot", {});
    this.box.replaceChildren(head, list, this.panel, this.actions);
    this.#choose(this.tab);
  }

  #choose(name, focus = false) {
    this.tab = name;
    for (const tab of this.tabs) {
      const chosen = tab.id === `tab-${name}`;
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
      if (chosen && focus) tab.focus();
    }
    this.panel.setAttribute("aria-labelledby", `tab-${name}`);
    this.panel.scrollTop = 0;
    if (this.found) this.#fill();
  }

  #key(event) {
    const at = NAMES.findIndex(([name]) => name === this.tab);
    const aim = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: NAMES.length - 1 }[event.key];
    if (aim === undefined) return;
    event.preventDefault();
    this.#choose(NAMES.at(aim % NAMES.length)[0], true);
  }

  #fill() {
    const { deliveries, calls } = this.found;
    const counts = { webhook: deliveries.length, attempts: deliveries.reduce((sum, one) => sum + one.attempts.length, 0), graph: calls.length };
    for (const tab of this.tabs) tab.querySelector(".count").textContent = counts[tab.id.slice(4)] || "";
    const reachable = () => [...this.panel.querySelectorAll("button, summary, pre")];
    const focused = reachable().indexOf(document.activeElement);
    const open = new Set([...this.panel.querySelectorAll("details[open]")].map((one) => one.dataset.key));
    const top = this.panel.scrollTop;
    const acts = { ...this.page.acts, held: () => this.page.store.settings.hold, redeliver: (which) => this.#redeliver(which) };
    this.panel.replaceChildren(...PANELS[this.tab](this.found, acts));
    for (const one of this.panel.querySelectorAll("details")) if (open.has(one.dataset.key)) one.open = true;
    if (focused >= 0) reachable()[focused]?.focus();
    this.panel.scrollTop = top;
    this.actions.replaceChildren(...(deliveries.length ? [this.#again()] : []));
  }

  #again() {
    return h("button.way.again", { type: "button", onclick: () => this.#redeliver({ wamid: this.id }) }, icon("again"), "Redeliver");
  }

  async #redeliver(which) {
    try {
      await this.page.acts.redeliver(which);
    } catch (error) {
      this.page.trouble(error.message);
    }
    await this.#load();
  }
}
