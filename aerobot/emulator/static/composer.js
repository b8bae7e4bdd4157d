// The line at the bottom: writing, attaching, replying. Enter sends, Shift+Enter breaks the line, Arrow up in an
// empty line goes to the messages.

import { summary } from "./bubbles.js";
import { $, h, icon, sign } from "./dom.js";
import * as sends from "./sends.js";

const KINDS = [
  ["photo", "Photo or video"],
  ["file", "Document"],
  ["mic", "Voice message"],
  ["sticker", "Sticker"],
  ["pin", "Location"],
  ["person", "Contact"],
  ["more", "Something else…"],
];

export class Composer {
  constructor(acts) {
    this.acts = acts;
    this.field = $("text");
    this.about = null;
    this.drafts = new Map();
    $("composer").addEventListener("submit", (event) => { event.preventDefault(); this.#send(); });
    this.field.addEventListener("input", () => this.#fit());
    this.field.addEventListener("keydown", (event) => this.#key(event));
    this.field.addEventListener("paste", (event) => this.#files(event.clipboardData, event));
    $("chat").addEventListener("dragover", (event) => event.preventDefault());
    $("chat").addEventListener("drop", (event) => { event.preventDefault(); this.#files(event.dataTransfer, event); });
    $("file").addEventListener("change", () => this.#picked());
    this.#menu();
  }

  open(chat) {
    const key = `${chat.phone} ${chat.number}`;
    if (this.key) this.drafts.set(this.key, this.field.value);
    this.key = key;
    this.field.value = this.drafts.get(key) ?? "";
    this.reply(null);
    this.#fit();
    if (matchMedia("(hover: hover)").matches) this.field.focus();
  }

  focus() {
    this.field.focus();
  }

  reply(message) {
    this.about = message;
    const box = $("replying");
    box.hidden = !message;
    if (!message) return box.replaceChildren();
    const who = message.direction === "in" ? "You" : this.acts.bot(message);
    const quote = h("span.quote", { data: { side: message.direction === "in" ? "mine" : "theirs" } }, h("strong", {}, who), h("span", { dir: "auto" }, summary(message).slice(0, 160)));
    box.replaceChildren(quote, sign("close", "Do not reply to this", () => this.reply(null)));
    return this.field.focus();
  }

  // The words in the line, once; others where there are none.
  draft(otherwise) {
    const words = this.field.value.trim();
    this.field.value = "";
    this.#fit();
    return words || otherwise;
  }

  // The message being replied to, once.
  replyingTo() {
    const about = this.about?.id;
    if (this.about) this.reply(null);
    return about;
  }

  #send() {
    const words = this.field.value.trim();
    if (!words) return;
    this.field.value = "";
    this.#fit();
    this.acts.say("text", { text: words, about: this.replyingTo() }, { type: "text", text: words, content: { body: words } });
  }

  #key(event) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      this.#send();
    } else if (event.key === "Escape" && this.about) this.reply(null);
    else if (event.key === "ArrowUp" && !this.field.value) {
      event.preventDefault();
      this.acts.read();
    }
  }

  #fit() {
    this.field.style.height = "auto";
    this.field.style.height = `${Math.min(this.field.scrollHeight, 148)}px`;
    this.field.style.overflowY = this.field.scrollHeight > 148 ? "auto" : "hidden";
    $("send").disabled = !this.field.value.trim();
  }

  #menu() {
    const menu = $("menu");
    const items = KINDS.map(([name, label]) => h("button", { type: "button", role: "menuitem", tabindex: "-1", data: { name }, onclick: () => this.#attach(name) }, h("span.dot", {}, icon(name)), label));
    menu.replaceChildren(...items);
    $("attach").addEventListener("click", () => this.#toggle(menu.hidden));
    menu.addEventListener("keydown", (event) => {
      const at = items.indexOf(document.activeElement);
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step) {
        event.preventDefault();
        items[(at + step + items.length) % items.length].focus();
      } else if (event.key === "Escape" || event.key === "Tab") this.#toggle(false);
    });
    document.addEventListener("click", (event) => {
      if (!menu.hidden && !event.target.closest("#menu, #attach")) this.#toggle(false, false);
    });
  }

  #toggle(on, focus = true) {
    $("menu").hidden = !on;
    $("attach").setAttribute("aria-expanded", String(on));
    if (on) $("menu").firstElementChild.focus();
    else if (focus) $("attach").focus();
  }

  #attach(name) {
    this.#toggle(false);
    const about = () => this.replyingTo();
    const does = {
      photo: () => this.#pick("image/*,video/*"),
      file: () => this.#pick(""),
      mic: () => sends.voice((file) => this.acts.file(file, { about: about(), kind: "voice" }), () => this.#pick("audio/*", "voice")),
      sticker: () => sends.sticker((file) => this.acts.file(file, { about: about(), kind: "sticker" })),
      pin: () => this.acts.place(null),
      person: () => this.acts.contact(),
      more: () => sends.more(this.acts),
    };
    does[name]();
  }

  #pick(accept, kind = "") {
    this.kind = kind;
    $("file").accept = accept;
    $("file").click();
  }

  #picked() {
    const [chosen] = $("file").files;
    $("file").value = "";
    if (chosen) this.#offer(chosen, this.kind);
    this.kind = "";
  }

  #files(data, event) {
    const [chosen] = data?.files ?? [];
    if (!chosen) return;
    event.preventDefault();
    this.#offer(chosen);
  }

  #offer(chosen, kind = "") {
    const about = this.replyingTo();
    sends.file(chosen, (caption) => this.acts.file(chosen, { caption, about, kind }));
  }
}
