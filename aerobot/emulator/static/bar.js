// Above the chat: who is there, how long the window stays open, and a slim strip with all that is not as usual.

import { $, avatar, h, icon, sign, span } from "./dom.js";

export class Bar {
  constructor(page) {
    this.page = page;
    setInterval(() => page.open && this.window(), 15_000);
  }

  draw() {
    const { store, open: chat, online } = this.page;
    const bot = store.numbers.get(chat.number);
    const person = store.phones.get(chat.phone);
    const typing = store.typing(chat);
    $("bot-name").textContent = bot.name;
    $("presence").textContent = online ? (typing ? "typing…" : "online") : "reconnecting…";
    $("presence").dataset.state = online ? (typing ? "typing" : "online") : "lost";
    this.#mine(person);
    this.#bot(bot, store.numbers.size > 1);
    this.#notice(store);
    this.#unread([...store.chats.values()].reduce((sum, { unread }) => sum + unread.size, 0), bot.name);
    this.window();
    this.#strip(store);
  }

  // Of all chats: in the title, and as a dot at the way back to the list.
  #unread(count, name) {
    document.title = count ? `(${count}) ${name}` : name;
    $("back").dataset.unread = count > 0;
    $("back").setAttribute("aria-label", count ? `All phones, ${count} unread` : "All phones");
  }

  #notice(store) {
    $("notice").hidden = !store.trouble;
    if ($("notice").firstChild?.textContent === store.trouble) return;
    const shut = sign("close", "Hide this", () => {
      store.trouble = "";
      this.draw();
    });
    $("notice").replaceChildren(h("span", {}, store.trouble), shut);
  }

  // The robot; with several bots the face that each has in the list.
  #bot({ name }, several) {
    const face = several ? name : "";
    if (this.face === face) return;
    this.face = face;
    $("bot-avatar").replaceWith(Object.assign(several ? avatar(name) : h("span.avatar.bot", { "aria-hidden": "true" }, h("img", { src: "/static/icon.svg", alt: "" })), { id: "bot-avatar" }));
  }

  #mine({ name, number }) {
    const words = `${name} ${number}`;
    if ($("mine").title === words) return;
    $("mine").title = words;
    $("mine").replaceChildren(h("span.mine-words", {}, h("span.unseen", {}, "This phone: "), h("strong", { dir: "auto" }, name), " ", h("small", { dir: "auto" }, number)), avatar(name));
  }

  window() {
    const { store, open: chat } = this.page;
    const left = (chat.windowUntil - store.now()) / 1000;
    const open = left > 0 || store.settings.window === "off";
    $("window").dataset.open = open;
    $("window").textContent = store.settings.window === "off" ? "window not enforced" : open ? `window open, ${span(left)}` : "window closed: templates only";
    $("window").title = "A bot may answer freely for 24 hours after the person last wrote; later only with a template.";
  }

  #strip(store) {
    const chips = unusual(store, this.page.acts);
    const signature = chips.map(({ words }) => words).join("\n");
    if (signature === this.signature) return;
    this.signature = signature;
    const focused = $("strip").contains(document.activeElement);
    $("strip").hidden = !chips.length;
    $("strip").replaceChildren(...chips.map(({ name, words, undo, off }) => h("span.chip", {}, icon(name),
      h("button.chip-words", { type: "button", title: "Show the world’s switches", onclick: this.page.acts.world }, words), sign("close", undo, off))));
    if (focused) ($("strip").querySelector("button") ?? $("text")).focus();
  }
}

// What is armed or set otherwise than at the start, each with its way back.
function unusual(store, acts) {
  const { settings, faults, offset, waiting } = store;
  const found = [];
  const add = (name, words, undo, off) => found.push({ name, words, undo, off });
  const set = (words, usual) => add("bolt", words, `Undo: ${words}`, () => acts.set(usual));
  if (offset) add("clock", `Clock ${span(offset)} ahead`, "Back to real time", () => acts.clock({ reset: true }));
  for (const { name, call, times, to } of faults.armed) {
    const where = [call === "messages" ? "" : `on ${call}`, to ? `to +${to}` : ""].filter(Boolean).join(" ");
    add("bolt", [name, times > 1 ? `× ${times}` : "", where].filter(Boolean).join(" "), `Disarm ${name}`, () => acts.disarm(name));
  }
  if (settings.hold) add("pause", `Webhooks held${waiting ? `, ${waiting} waiting` : ""}`, "Let webhooks go", () => acts.set({ hold: false }));
  if (settings.batch > 1) set(`Up to ${settings.batch} updates a webhook`, { batch: 1 });
  if (settings.copies > 1) set(`Each webhook ${settings.copies} times`, { copies: 1 });
  if (settings.reverse) set("Webhooks in reverse order", { reverse: false });
  if (settings.delay) set(`Webhooks ${settings.delay} s late`, { delay: 0 });
  if (settings.window !== "later") set(settings.window === "off" ? "Window not enforced" : "Window refuses at once", { window: "later" });
  if (settings.throughput_limit) set("80 messages a second", { throughput_limit: false });
  if (settings.pair_limit) set("One message in 6 s to a person", { pair_limit: false });
  return found;
}
