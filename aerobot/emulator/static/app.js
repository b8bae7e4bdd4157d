// The phone: joins the store, the chat and the composer to the emulator's events.

import { Refused, follow, get, post, takeToken, viewer } from "./api.js";
import { Chat } from "./chat.js";
import { Composer } from "./composer.js";
import { $, avatar, h, icon, time } from "./dom.js";
import { summary, ticks } from "./bubbles.js";
import * as sheets from "./sheets.js";
import { Store } from "./store.js";

let store;
let chat;
let composer;
let current = "";
let online = true;

// -- drawing -----------------------------------------------------------------------------------------------------

const drawn = new Map(); // phone → {item, signature}: a row is only drawn anew when it says something new

function drawPhones() {
  for (const [phone, { item }] of drawn) {
    if (store.phones.has(phone)) continue;
    item.remove();
    drawn.delete(phone);
  }
  for (const phone of store.phones.values()) {
    const { last } = phone;
    const typing = store.typing(phone.phone);
    const signature = [phone.name, last?.id, last?.status, typing, phone.unread, phone.phone === current].join("\n");
    const before = drawn.get(phone.phone);
    if (before?.signature === signature) continue;
    const item = h("li", {}, phoneRow(phone, last, typing));
    const focused = before?.item.contains(document.activeElement);
    if (before) before.item.replaceWith(item);
    else $("phones").append(item);
    if (focused) item.firstElementChild.focus();
    drawn.set(phone.phone, { item, signature });
  }
}

function phoneRow(phone, last, typing) {
  const line = typing ? "typing…" : last ? summary(last) : "No messages yet";
  const badge = phone.unread ? h("span.badge", { "aria-label": `${phone.unread} unread` }, String(phone.unread)) : null;
  return h("button.phone", { type: "button", "aria-current": phone.phone === current ? "true" : undefined, onclick: () => choose(phone.phone) },
    avatar(phone.name),
    h("span.phone-lines", {},
      h("span.phone-top", {}, h("strong", { dir: "auto" }, phone.name), last ? h("time", {}, time(last.at)) : null),
      h("span.phone-last", { data: { typing } }, last?.direction === "in" && !typing ? ticks(last.status) : null, h("span", { dir: "auto" }, line), badge)));
}

function drawBar() {
  const typing = store.typing(current);
  $("bot-name").textContent = store.number.name;
  $("presence").textContent = online ? (typing ? "typing…" : "online") : "reconnecting…";
  $("presence").dataset.state = online ? (typing ? "typing" : "online") : "lost";
  $("mine").textContent = `${store.phones.get(current).name}’s phone`;
  $("notice").hidden = !store.trouble;
  $("notice").textContent = store.trouble;
  document.title = store.phones.get(current).unread ? `(${store.phones.get(current).unread}) ${store.number.name}` : store.number.name;
  chat.typing(typing);
}

function drawRest() {
  drawPhones();
  drawBar();
}

// -- what a person does ------------------------------------------------------------------------------------------

function choose(phone) {
  current = phone;
  document.body.classList.add("in-chat");
  chat.show(store.phones.get(phone));
  composer.open(phone);
  look();
  drawRest();
}

function look() {
  const seen = document.visibilityState === "visible";
  if (seen) store.phones.get(current).unread = 0;
  post("/_/look", { viewer, phone: seen ? current : "" }).catch(() => {});
}

// Shows a message at once with a clock, sends it, and marks it if that failed.
async function send(body, shown, request) {
  const phone = current;
  const client = `local-${crypto.randomUUID()}`;
  const message = { id: client, phone, direction: "in", at: Date.now(), status: "clock", reactions: {}, about: body.about ?? "", ...shown };
  store.put(message);
  chat.add(message, true);
  drawPhones();
  const attempt = async () => {
    message.status = "clock";
    chat.redraw(message);
    try {
      await request(phone, client);
    } catch (error) {
      Object.assign(message, { status: "lost", problem: error.message, again: attempt });
      chat.redraw(message);
    }
  };
  await attempt();
}

const acts = {
  bot: () => store.number.name,
  quoted: (id) => store.find(id),
  say(kind, { text, about, content }, shown) {
    const body = { kind, text, about, content };
    return send(body, shown, (phone, client) => post(`/_/phones/${encodeURIComponent(phone)}/messages`, { ...body, client }));
  },
  file(chosen, caption, about) {
    const type = chosen.type.startsWith("image/") ? "image" : "document";
    const shown = { type: "text", text: `${type === "image" ? "📷" : "📄"} ${chosen.name}`, content: {} };
    return send({ about }, shown, (phone, client) => {
      const form = new FormData();
      for (const [key, value] of Object.entries({ caption, about: about ?? "", client })) form.append(key, value);
      form.append("file", chosen, chosen.name);
      return post(`/_/phones/${encodeURIComponent(phone)}/files`, form);
    });
  },
  tap(message, kind, content, label) {
    return acts.say(kind, { text: label, about: message.id, content }, { type: "text", text: label, content: {} });
  },
  sheet(message) {
    sheets.list(message, ({ id, title, description }) => acts.tap(message, "list", { id, title, ...(description ? { description } : {}) }, title));
  },
  place(message) {
    sheets.place((content) => {
      const about = message?.id ?? composer.replyingTo();
      acts.say("location", { about, content }, { type: "location", text: "", content });
    });
  },
  contact() {
    sheets.person((name, phone) => {
      const [first_name, ...rest] = name.split(" ");
      const last = rest.length ? { last_name: rest.join(" ") } : {};
      const content = [{ name: { formatted_name: name, first_name, ...last }, phones: phone ? [{ phone, type: "CELL" }] : [] }];
      acts.say("contacts", { about: composer.replyingTo(), content }, { type: "contacts", text: name, content });
    });
  },
  reply: (message) => composer.reply(message),
  react(message) {
    sheets.react(message, (emoji) => {
      const kind = emoji ? "reaction" : "reaction_removed";
      post(`/_/phones/${encodeURIComponent(current)}/messages`, { kind, text: emoji || null, about: message.id }).catch((error) => trouble(error.message));
    });
  },
  show: sheets.picture,
  jump: (id) => chat.jump(id),
  retry: (message) => message.again?.(),
};

function trouble(words) {
  store.trouble = words;
  drawBar();
}

// -- what happens ------------------------------------------------------------------------------------------------

const happened = {
  phone: (event) => store.addPhone(event),
  message({ message, client }) {
    const changed = store.put(message, client);
    const here = message.phone === current;
    if (here && document.visibilityState === "visible") store.phones.get(current).unread = 0;
    if (!here) return;
    changed.forEach((found) => chat.redraw(found));
    if (message.type !== "reaction") chat.add(message, message.direction === "in", client);
  },
  tick(event) {
    const found = store.tick(event);
    if (found?.phone === current) chat.tick(found);
  },
  media({ wamid, media }) {
    const found = store.find(wamid);
    if (found) found.media = media;
    if (found?.phone === current) chat.redraw(found);
  },
  typing({ phone, seconds }) {
    store.types(phone, seconds);
    setTimeout(drawRest, seconds * 1000 + 50);
  },
  webhook({ what, status, error, attempt }) {
    if (status === 200) store.trouble = "";
    else if (error === "not connected") store.trouble = "No bot is connected yet. Messages wait until one is.";
    else if (attempt === 0) store.trouble = `The webhook was ${error}.`;
    else if (what === "message" || attempt > 1) store.trouble = `The bot’s webhook did not take this: ${error}. It is tried again.`;
  },
  connected() {
    store.trouble = "";
  },
};

function gate(title, ...words) {
  $("app").hidden = true;
  $("gate").hidden = false;
  $("gate").replaceChildren(h("div.gate-card", {}, h("span.avatar.bot", {}, botFace()), h("h1", {}, title), ...words.map((line) => h("p", {}, line))));
}

const refused = () => gate("This address is out of date", "Its token is not accepted. Each start of the emulator makes a new one.", "Open the address that aerobot printed last; it ends in #token=…");

function botFace() {
  const image = h("img", { src: "/static/icon.svg", alt: "" });
  return image;
}

async function load() {
  const state = await get("/_/state");
  store = new Store(state);
  if (!store.phones.has(current)) current = store.phones.keys().next().value;
  choose(current);
  for (const seconds of Object.values(state.typing)) setTimeout(drawRest, seconds * 1000 + 50);
  follow(state.seq, state.epoch, {
    event(event) {
      happened[event.event]?.(event);
      drawRest();
    },
    found() {
      online = true;
      look();
      drawBar();
    },
    lost() {
      online = false;
      drawBar();
    },
    refused,
    restarted: () => load().catch(failed),
  });
}

function failed(error) {
  if (error instanceof Refused && error.status === 401) refused();
  else gate("The emulator does not answer", text(error), "Start it again and open the address that it prints.");
}

const text = (error) => error?.message ?? String(error);

function start() {
  if (!takeToken()) {
    gate("This page needs its whole address", "Open the address exactly as aerobot printed it in the terminal: it ends in #token=…", "The token keeps other programs and web pages away from your bot.");
    return;
  }
  $("gate").hidden = true;
  $("app").hidden = false;
  load().catch(failed);
}

for (const [id, name] of [["add-phone", "plus"], ["back", "back"], ["down", "down"], ["attach", "clip"], ["send", "send"]]) $(id).append(icon(name));
$("bot-avatar").append(botFace());
chat = new Chat(acts);
composer = new Composer(acts);
$("add-phone").addEventListener("click", () => sheets.newPhone(async (name, phone) => {
  try {
    choose((await addPhone(name, phone)).phone);
  } catch (error) {
    trouble(error.message);
  }
}));
async function addPhone(name, phone) {
  const made = await post("/_/phones", { name, phone });
  store.addPhone({ ...made, name });
  return made;
}
$("back").addEventListener("click", () => {
  document.body.classList.remove("in-chat");
  $("phones").querySelector("button")?.focus();
});
document.addEventListener("visibilitychange", () => {
  if (!store) return;
  look();
  drawRest();
});
addEventListener("hashchange", () => location.reload());
start();
