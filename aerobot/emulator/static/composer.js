// The line at the bottom: writing, attaching, replying. Enter sends, Shift+Enter breaks the line.

import { summary } from "./bubbles.js";
import { $, h, icon } from "./dom.js";
import * as sheets from "./sheets.js";

const KINDS = [
  ["photo", "Photo or video", "image/*,video/*"],
  ["file", "Document", ""],
  ["pin", "Location", null],
  ["person", "Contact", null],
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

  open(phone) {
    if (this.phone !== undefined) this.drafts.set(this.phone, this.field.value);
    this.phone = phone;
    this.field.value = this.drafts.get(phone) ?? "";
    this.reply(null);
    this.#fit();
    if (matchMedia("(hover: hover)").matches) this.field.focus();
  }

  reply(message) {
    this.about = message;
    const box = $("replying");
    box.hidden = !message;
    if (!message) return box.replaceChildren();
    const who = message.direction === "in" ? "You" : this.acts.bot();
    const shut = h("button.round", { type: "button", "aria-label": "Do not reply to this", onclick: () => this.reply(null) }, icon("close"));
    box.replaceChildren(h("span.quote", { data: { side: message.direction === "in" ? "mine" : "theirs" } }, h("strong", {}, who), h("span", { dir: "auto" }, summary(message).slice(0, 160))), shut);
    return this.field.focus();
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
    const about = this.replyingTo();
    this.acts.say("text", { text: words, about }, { type: "text", text: words, content: { body: words }, about });
  }

  #key(event) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      this.#send();
    } else if (event.key === "Escape" && this.about) this.reply(null);
  }

  #fit() {
    this.field.style.height = "auto";
    this.field.style.height = `${Math.min(this.field.scrollHeight, 148)}px`;
    this.field.style.overflowY = this.field.scrollHeight > 148 ? "auto" : "hidden";
    $("send").disabled = !this.field.value.trim();
  }

  #menu() {
    const menu = $("menu");
    const items = KINDS.map(([name, label, accept]) => h("button", { type: "button", role: "menuitem", tabindex: "-1", data: { name }, onclick: () => this.#attach(name, accept) }, h("span.dot", {}, icon(name)), label));
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

  #attach(name, accept) {
    this.#toggle(false);
    if (name === "pin") this.acts.place(null);
    else if (name === "person") this.acts.contact();
    else {
      $("file").accept = accept;
      $("file").click();
    }
  }

  #picked() {
    const [chosen] = $("file").files;
    $("file").value = "";
    if (chosen) this.#offer(chosen);
  }

  #files(data, event) {
    const [chosen] = data?.files ?? [];
    if (!chosen) return;
    event.preventDefault();
    this.#offer(chosen);
  }

  #offer(chosen) {
    const about = this.replyingTo();
    sheets.file(chosen, (caption) => this.acts.file(chosen, caption, about));
  }
}
