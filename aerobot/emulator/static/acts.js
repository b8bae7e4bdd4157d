// What a person does on the page, each act as a call of the control API.

import { del, get, post } from "./api.js";
import { RECENT } from "./store.js";
import * as people from "./people.js";
import * as sheets from "./sheets.js";
import * as sends from "./sends.js";

const at = (phone) => `/_/phones/${encodeURIComponent(phone)}`;

// `page` has store, chat, composer, drawer, current, choose(), drawSoon() and trouble().
export function makeActs(page) {
  // What a call gives, once what an earlier one complained about is taken away; undefined where it failed.
  async function trying(call) {
    try {
      const found = await call;
      sheets.problem("");
      return found;
    } catch (error) {
      return page.trouble(error.message);
    }
  }

  // Shows a message at once with a clock, sends it, and marks it if that failed.
  async function send(about, shown, request) {
    const { phone, number } = page.current;
    const client = `local-${crypto.randomUUID()}`;
    const message = { id: client, phone, number, direction: "in", at: page.store.now(), status: "clock", reactions: {}, about: about ?? "", ...shown };
    page.store.put(message);
    page.chat.add(message);
    page.chat.toEnd();
    page.drawSoon(message);
    const attempt = async () => {
      message.status = "clock";
      page.chat.redraw(message);
      try {
        await request(message.phone, number, client);
      } catch (error) {
        Object.assign(message, { status: "lost", problem: error.message, again: attempt });
        page.chat.redraw(message);
      }
    };
    await attempt();
  }

  const acts = {
    bot: (message) => page.store.numbers.get(message.number)?.name ?? "Bot",
    quoted: (id) => page.store.find(id),
    now: () => page.store.now(),
    say(kind, { text, about, content, context, referral }, shown) {
      const body = { kind, text, about, content, context, referral };
      const request = (phone, number, client) => post(`${at(phone)}/messages`, { ...body, number, client });
      if (shown) return send(about, { context, ...shown }, request);
      return trying(request(page.current.phone, page.current.number, ""));
    },
    // What stands in the line below, as one of the rarer kinds; other words where it is empty.
    words(kind, otherwise, { context, referral }) {
      const text = kind === "text" ? page.composer.draft(otherwise) : null;
      acts.say(kind, { text, about: page.composer.replyingTo(), context, referral }, text ? { type: "text", text, content: { body: text } } : undefined);
    },
    lastWritten: () => [...page.store.chat(page.current.phone, page.current.number).messages.values()].findLast(({ direction, type, revoked }) => direction === "in" && type === "text" && !revoked),
    edit(message) {
      const text = page.composer.draft("");
      if (text) return acts.say("edit", { text, about: message.id });
      return page.trouble("Write the new words in the line below first, then edit.");
    },
    file(chosen, { caption = "", about, kind = "" }) {
      const sign = kind === "voice" ? "🎤" : chosen.type.startsWith("image/") ? "📷" : "📄";
      return send(about, { type: "text", text: `${sign} ${chosen.name}`, content: {} }, (phone, number, client) => {
        const form = new FormData();
        for (const [key, value] of Object.entries({ caption, about: about ?? "", client, number, kind })) if (value) form.append(key, value);
        form.append("file", chosen, chosen.name);
        return post(`${at(phone)}/files`, form);
      });
    },
    tap(message, kind, content, label) {
      return acts.say(kind, { text: label, about: message.id, content }, { type: "text", text: label, content: {} });
    },
    sheet(message) {
      sheets.list(message, ({ id, title, description }) => acts.tap(message, "list", { id, title, ...(description ? { description } : {}) }, title));
    },
    place(message) {
      sends.place((content) => {
        const about = message?.id ?? page.composer.replyingTo();
        acts.say("location", { about, content }, { type: "location", text: "", content });
      });
    },
    contact() {
      sends.person((name, phone) => {
        const [first_name, ...rest] = name.split(" ");
        const last = rest.length ? { last_name: rest.join(" ") } : {};
        const content = [{ name: { formatted_name: name, first_name, ...last }, phones: phone ? [{ phone, type: "CELL" }] : [] }];
        acts.say("contacts", { about: page.composer.replyingTo(), content }, { type: "contacts", text: name, content });
      });
    },
    reply: (message) => page.composer.reply(message),
    react(message) {
      sheets.react(message, (emoji) => acts.say(emoji ? "reaction" : "reaction_removed", { text: emoji || null, about: message.id }));
    },
    // What is to be said of it: copied, or that the browser does not allow it.
    copy: (words) => navigator.clipboard.writeText(words).then(() => "Copied", () => "Not allowed"),
    show: sheets.picture,
    jump: (id) => page.chat.jump(id),
    retry: (message) => message.again?.(),
    inspect: (message) => page.drawer.open(message),
    write: () => page.composer.focus(),
    read: () => page.chat.focusLast(),
    async loadEarlier(chat) {
      const first = [...chat.messages.keys()].find((id) => !id.startsWith("local-"));
      try {
        const { messages } = await get(`/_/messages?before=${encodeURIComponent(first)}&count=${RECENT}`);
        page.store.prepend(chat, messages);
      } catch (error) {
        page.trouble(error.message);
      }
    },

    // -- phones --

    newPhone: () => people.newPhone((person) => trying(acts.addPhone(person))),
    async addPhone(person) {
      const { phone } = await post("/_/phones", person);
      if (!page.store.phones.has(phone)) page.store.addPhone({ phone, name: person.name, username: person.username });
      page.choose(phone, page.store.main);
    },
    // The phone of a special number, from which one can then write.
    addSpecial(number, name) {
      const known = page.store.phones.has(number);
      if (known) page.choose(number, page.store.main);
      else trying(acts.addPhone({ phone: `+${number}`, name: name.replaceAll("_", " ") }));
    },
    person() {
      const { phone } = page.current;
      people.phone(page.store.phones.get(phone), {
        change: (number) => trying(post(`${at(phone)}/number`, { phone: number })),
        forget: () => trying(del(at(phone))),
      });
    },

    // -- the world --

    set: (changes) => trying(post("/_/settings", changes)),
    clock: (change) => trying(post("/_/clock", change)),
    arm: (fault) => trying(post("/_/faults", fault)),
    disarm: (name) => trying(del(`/_/faults${name ? `?name=${encodeURIComponent(name)}` : ""}`)),
    release: () => trying(post("/_/deliveries/release", {})),
    played: (message) => post(`/_/messages/${encodeURIComponent(message.id)}/played`, {}).catch(() => {}),
    redeliver: (which) => post("/_/deliveries/redeliver", which),
    async callback() {
      return (await get("/_/portal")).callback ?? "";
    },
    connect: (url) => trying(post("/_/connect", { url })),
    addNumber: (number) => trying(post("/_/numbers", number)),
    reset: (all) => trying(post("/_/reset", { all })),
    export: () => get("/_/export"),
    import: (state) => trying(post("/_/import", state)),
  };
  return acts;
}
