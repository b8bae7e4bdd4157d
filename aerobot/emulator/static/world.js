// The world's switches: the clock, faults, the session window, limits, webhooks, receipts, special numbers, bots, reset.

import { $, day, h, icon, sign, span, text, time } from "./dom.js";
import { switcher } from "./people.js";
import { choice, close, field, open, sure } from "./sheets.js";

const HOUR = 3600;
const STEPS = [["+1 h", HOUR], ["+23 h", 23 * HOUR], ["+25 h", 25 * HOUR], ["+8 days", 8 * 24 * HOUR]];
const WINDOWS = [["later", "Fails later"], ["at_once", "Refused at once"], ["off", "Not enforced"]];

export class World {
  // `page` has store, acts and choose().
  constructor(page) {
    this.page = page;
    setInterval(() => this.#shown() && this.#tellTime(), 1000);
  }

  show() {
    const sheet = open("The world", h("div.world", {},
      this.#clock(), this.#faults(), this.#window(), this.#webhooks(), this.#receipts(), this.#special(), this.#bots(), this.#start()));
    sheet.classList.add("wide");
    this.refresh();
  }

  #shown() {
    return $("sheet").open && Boolean($("sheet").querySelector(".world"));
  }

  // Shows what is set now; a field that somebody is in keeps its words.
  refresh() {
    if (!this.#shown()) return;
    const { settings, faults, offset, waiting } = this.page.store;
    this.#tellTime();
    this.real.disabled = !offset;
    this.armed.replaceChildren(...faults.armed.map((one) => this.#armed(one)));
    for (const input of $("sheet").querySelectorAll("[data-setting]")) {
      const value = settings[input.dataset.setting];
      if (input.type === "checkbox") input.checked = value;
      else if (input.type === "radio") input.checked = input.value === value;
      else if (input !== document.activeElement) input.value = Array.isArray(value) ? value.join(", ") : value;
    }
    this.release.disabled = !waiting;
    this.release.lastChild.textContent = waiting ? `Release ${waiting} waiting` : "Nothing waits";
  }

  // -- the clock --

  #clock() {
    this.words = h("p.clock", { "aria-live": "off" });
    this.real = h("button.way", { type: "button", onclick: () => this.page.acts.clock({ reset: true }) }, "Real time");
    const steps = STEPS.map(([words, seconds], place) => h("button.way", { type: "button", autofocus: place === 0, data: { seconds }, onclick: () => this.page.acts.clock({ advance: seconds }) }, words));
    return section("clock", "Clock", "Windows, retries and receipts go by it.", this.words, h("div.steps", {}, ...steps, this.real));
  }

  #tellTime() {
    const { store } = this.page;
    const now = store.now();
    this.words.replaceChildren(h("strong", {}, time(now)), h("span", {}, day(now, Date.now())), store.offset ? h("span.pill", { data: { mood: "warn" } }, `${span(store.offset)} ahead`) : h("span.pill", {}, "real time"));
  }

  // -- faults --

  #faults() {
    const { known, calls } = this.page.store.faults;
    const names = Object.keys(known);
    const meaning = h("p.field-hint", {});
    const call = h("select", { name: "call" });
    const name = h("select", { name: "name", onchange: () => tell() }, ...names.map((one) => h("option", { value: one }, one)));
    const tell = () => {
      const found = known[name.value] ?? {};
      meaning.textContent = found.code ? `Code ${found.code}: ${text(found.meaning)}` : text(found.meaning);
      call.replaceChildren(...(found.calls ?? calls).map((one) => h("option", { value: one }, one)));
    };
    tell();
    this.armed = h("ul.armed", { role: "list" });
    const onsubmit = (event) => {
      event.preventDefault();
      const data = new FormData(event.target);
      this.page.acts.arm({ name: data.get("name"), call: data.get("call"), times: Number(data.get("times")) || 1, to: text(data.get("to")).replace(/\D/g, "") });
    };
    const to = field("Only to", { name: "to", type: "tel", placeholder: "anybody" });
    return section("bolt", "Faults", "Spoil the bot’s next Graph calls, on command.", this.armed, h("form.arm", { onsubmit },
      h("label.field.fault", {}, h("span", {}, "Fault"), name), meaning, h("label.field", {}, h("span", {}, "On calls"), call),
      field("Times", { name: "times", type: "number", min: 1, max: 10000, value: 1 }), to, h("button.primary", { type: "submit" }, "Arm")));
  }

  #armed({ name, call, times, to }) {
    const words = `next ${times > 1 ? `${times} calls` : "call"} of ${call}${to ? ` to +${to}` : ""}`;
    return h("li", {}, icon("bolt"), h("span", {}, h("strong", {}, name), h("small", {}, words)), sign("close", `Disarm ${name}`, () => this.page.acts.disarm(name)));
  }

  // -- settings --

  #set(input) {
    const { setting } = input.dataset;
    const value = input.type === "checkbox" ? input.checked : input.type === "radio" ? input.value : setting === "retries" ? input.value.split(/[\s,;]+/).filter(Boolean).map(Number) : Number(input.value);
    this.page.acts.set({ [setting]: value });
  }

  #flag(setting, words, note) {
    const input = h("input", { type: "checkbox", role: "switch", data: { setting }, onchange: () => this.#set(input) });
    return h("label.flag", {}, h("span", {}, h("strong", {}, words), h("small", {}, note)), input);
  }

  #number(setting, words, attributes) {
    return field(words, { type: "number", data: { setting }, onchange: ({ target }) => this.#set(target), ...attributes });
  }

  #window() {
    const { settings } = this.page.store;
    const ways = switcher("A message outside the 24 hours", WINDOWS, settings.window, ({ target }) => this.#set(target));
    for (const input of ways.querySelectorAll("input")) input.dataset.setting = "window";
    return section("clock", "Session window and limits", "", ways,
      this.#flag("throughput_limit", "80 messages a second", "beyond them: 130429"),
      this.#flag("pair_limit", "One message in 6 s to the same person", "45 in advance, then 131056"));
  }

  #webhooks() {
    this.release = h("button.way", { type: "button", onclick: () => this.page.acts.release() }, icon("forward"), h("span", {}));
    const seconds = { min: 0, max: 604800, step: "any" };
    return section("pause", "Webhooks", "How they reach the bot.",
      this.#flag("hold", "Hold them", "until they are released"), this.release,
      h("div.pair", {}, this.#number("batch", "Updates joined in one", { min: 1, max: 1000 }), this.#number("copies", "Copies of each", { min: 1, max: 10 })),
      h("div.pair", {}, this.#number("delay", "Late by (s)", seconds),
        field("Pauses between attempts (s)", { data: { setting: "retries" }, inputmode: "decimal", onchange: ({ target }) => this.#set(target) })),
      this.#flag("reverse", "In reverse order", "what was gathered last goes first"));
  }

  #receipts() {
    const seconds = { min: 0, max: 604800, step: "any" };
    return section("tick", "Receipts", "", this.#flag("auto_read", "Read by itself", "what arrives while no page is open"),
      h("div.three", {}, this.#number("sent_delay", "Sent after (s)", seconds), this.#number("delivered_delay", "Delivered after (s)", seconds), this.#number("read_delay", "Read after (s)", seconds)));
  }

  // -- numbers, bots, the start --

  #special() {
    const { special } = this.page.store;
    const rows = special.map(({ phone, display, name, meaning }) => choice(`${display} · ${name.replaceAll("_", " ")}`, meaning, () => {
      close();
      this.page.acts.addSpecial(phone, name);
    }, h("span.dot", {}, icon("call"))));
    return section("call", "Special numbers", "A message to one of them always meets its fault, with nothing armed. Choose one to write from it.",
      h("details.special", {}, h("summary.way", {}, `Show all ${special.length}`), ...rows));
  }

  // Where all webhooks go; connecting asks the challenge first, as Meta does.
  #callback() {
    const url = h("input", { name: "url", type: "url", required: true, placeholder: "http://127.0.0.1:3000/webhook" });
    this.page.acts.callback().then((found) => { url.value ||= found; }, () => {});
    const said = h("p.field-hint", { role: "status" });
    const onsubmit = async (event) => {
      event.preventDefault();
      said.textContent = "Asking for the challenge…";
      said.textContent = (await this.page.acts.connect(url.value)) ? "Connected." : "";
    };
    return h("form.callback", { onsubmit }, h("label.field", {}, h("span", {}, "Their webhook"), url), h("button.way", { type: "submit" }, "Connect"), said);
  }

  #bots() {
    const onsubmit = (event) => {
      event.preventDefault();
      const data = new FormData(event.target);
      this.page.acts.addNumber({ name: text(data.get("name")), phone: text(data.get("phone")) });
      close();
    };
    const bots = [...this.page.store.numbers.values()].map(({ name, display, mode }) => h("li", {}, icon("smile"),
      h("span", {}, h("strong", { dir: "auto" }, name), h("small", {}, `${display} · ${text(mode).toLowerCase()}`))));
    return section("smile", "Bots", "Numbers of one account, with the same webhook.", h("ul.armed", { role: "list" }, ...bots), this.#callback(), h("form.pair", { onsubmit },
      field("Another bot", { name: "name", required: true, maxlength: 100, placeholder: "Night Desk" }),
      field("Phone number", { name: "phone", type: "tel", required: true, value: `+1 555-010-${4500 + this.page.store.numbers.size}` }),
      h("button.primary", { type: "submit" }, "Add a bot")));
  }

  #start() {
    const all = h("input", { type: "checkbox" });
    const chosen = h("input", { type: "file", accept: "application/json,.json", hidden: true, onchange: async () => {
      const [file] = chosen.files;
      if (file) await this.#load(file);
    } });
    const ways = h("div.steps", {}, h("button.way", { type: "button", onclick: () => this.#keep() }, "Export"),
      h("button.way", { type: "button", onclick: () => chosen.click() }, "Import…"), chosen);
    return section("again", "From the start", "Keep the whole world as a file, or begin anew.", ways,
      h("label.flag", {}, h("span", {}, h("strong", {}, "Also the set-up at Meta"), h("small", {}, "webhook, subscriptions, tokens, bots")), all),
      sure("Reset", "Forget phones, messages, faults and settings?", () => { close(); this.page.acts.reset(all.checked); }));
  }

  async #keep() {
    const state = JSON.stringify(await this.page.acts.export(), null, 1);
    const url = URL.createObjectURL(new Blob([state], { type: "application/json" }));
    h("a", { href: url, download: "emulator.json" }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  }

  async #load(file) {
    close();
    try {
      await this.page.acts.import(JSON.parse(await file.text()));
    } catch {
      this.page.trouble(`${file.name} is not an exported world.`);
    }
  }
}

function section(name, title, hint, ...parts) {
  return h("section.part", {}, h("h3", {}, icon(name), title), hint ? h("p.field-hint", {}, hint) : null, ...parts);
}
