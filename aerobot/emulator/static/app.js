// The page: joins the store, the list, the chat, the composer and the drawer to the emulator's events.

import { Refused, follow, forgetMedia, get, post, takeToken, viewer } from "./api.js";
import { makeActs } from "./acts.js";
import { Bar } from "./bar.js";
import { Chat } from "./chat.js";
import { Chats } from "./chats.js";
import { Composer } from "./composer.js";
import { $, h, icon } from "./dom.js";
import { Drawer } from "./drawer.js";
import { problem } from "./sheets.js";
import { RECENT, Store } from "./store.js";
import { World } from "./world.js";

const page = { current: { phone: "", number: "" }, online: true, choose, drawSoon, trouble };
const acts = makeActs(page);
page.acts = acts;
acts.world = () => page.world.show();

// -- drawing: once a frame, and only what has changed ------------------------------------------------------------

const changed = new Set(); // chats whose row says something new
let due = false;
let rebuild = false;

function drawSoon(...chats) {
  for (const chat of chats) changed.add(chat.messages ? chat : page.store.chat(chat.phone, chat.number));
  if (due) return;
  due = true;
  if (document.hidden) setTimeout(drawRest, 100);
  else requestAnimationFrame(drawRest);
}

function drawRest() {
  due = false;
  if (rebuild) page.chats.build();
  else for (const chat of changed) page.chats.draw(chat);
  rebuild = false;
  changed.clear();
  if (!page.open) return;
  page.bar.draw();
  page.chat.typing(page.store.typing(page.open));
}

function drawList() {
  rebuild = true;
  drawSoon();
}

// -- what a person does ------------------------------------------------------------------------------------------

function choose(phone, number) {
  const before = page.open;
  page.current = { phone, number };
  page.open = page.store.chat(phone, number);
  document.body.classList.add("in-chat");
  $("chat").hidden = false;
  page.drawer.close();
  page.chat.show(page.open);
  page.composer.open(page.open);
  look();
  if (before) drawSoon(before);
  drawSoon(page.open);
}

// The last phone is gone: nothing to show until there is another one.
function nobody() {
  page.open = null;
  page.current = { phone: "", number: "" };
  page.drawer.close();
  $("chat").hidden = true;
  document.body.classList.remove("in-chat");
  drawList();
}

function look() {
  if (!page.open) return;
  const seen = document.visibilityState === "visible";
  if (seen) page.open.unread.clear();
  const { phone, number } = page.current;
  post("/_/look", { viewer, phone: seen ? phone : "", number }).catch(() => {});
}

// Says what went wrong: in the sheet that is open, else above the chat.
function trouble(words) {
  if ($("sheet").open) return problem(words);
  page.store.trouble = words;
  drawSoon();
}

// -- what happens ------------------------------------------------------------------------------------------------

const isOpen = (message) => page.store.chat(message.phone, message.number) === page.open;

function stillOpen() {
  const { store } = page;
  if (store.phones.has(page.current.phone) && store.numbers.has(page.current.number)) return;
  const phone = store.phones.keys().next().value;
  if (phone) choose(phone, store.main);
  else nobody();
}

const happened = {
  phone(event) {
    page.store.addPhone(event);
    if (!page.open) choose(event.phone, page.store.main);
    drawList();
  },
  phone_gone({ phone }) {
    page.store.dropPhone(phone);
    stillOpen();
    drawList();
  },
  phone_changed(event) {
    page.store.movePhone(event);
    if (page.current.phone === event.old) {
      page.current.phone = event.phone;
      look();
    }
    drawList();
  },
  number(event) {
    page.store.numbers.set(event.number, event);
    drawList();
  },
  message({ message, client }) {
    const again = page.store.put(message, client);
    if (isOpen(message)) {
      if (!document.hidden) page.open.unread.clear();
      again.forEach((found) => page.chat.redraw(found));
      if (message.type !== "reaction") page.chat.add(message, client);
    }
    drawSoon(message);
  },
  tick(event) {
    const found = page.store.tick(event);
    if (!found) return;
    if (isOpen(found)) page.chat.tick(found);
    drawSoon(found);
  },
  media({ wamid, media }) {
    const found = page.store.find(wamid);
    if (!found) return;
    found.media = media;
    if (isOpen(found)) page.chat.redraw(found);
  },
  typing(event) {
    page.store.types(event);
    types(event);
  },
  window(event) {
    page.store.opens(event);
    drawSoon();
  },
  clock(event) {
    page.store.setClock(event);
    page.chat.renameDays();
    drawWorld();
  },
  settings({ settings }) {
    page.store.settings = settings;
    drawWorld();
  },
  faults({ armed }) {
    page.store.faults.armed = armed;
    drawWorld();
  },
  waiting({ waiting }) {
    page.store.waiting = waiting;
    drawWorld();
  },
  webhook({ what, status, error, attempt, next_at: next }) {
    const { store } = page;
    if (status >= 200 && status < 300) store.trouble = "";
    else if (error === "not connected") store.trouble = "No bot is connected yet. Messages wait until one is.";
    else if (attempt === 0) store.trouble = `The webhook was ${error}.`;
    else if (what === "message" || attempt > 1) store.trouble = `The bot’s webhook did not take this: ${error}.${next === null ? "" : " It is tried again."}`;
    drawSoon();
  },
  challenge({ passed, error, status }) {
    const why = error || (status === 200 ? "what came back is not its number" : `answered ${status}`);
    if (!passed) trouble(`The webhook’s challenge failed: ${why}.`);
  },
  connected() {
    page.store.trouble = "";
    drawSoon();
  },
};

function types({ phone, number, seconds }) {
  const chat = page.store.chat(phone, number);
  drawSoon(chat);
  setTimeout(() => drawSoon(chat), seconds * 1000 + 50);
}

function drawWorld() {
  page.world.refresh();
  drawSoon();
}

// -- the start ---------------------------------------------------------------------------------------------------

function gate(title, ...words) {
  $("app").hidden = true;
  $("gate").hidden = false;
  $("gate").replaceChildren(h("div.gate-card", {}, h("span.avatar.bot", {}, botFace()), h("h1", {}, title), ...words.map((line) => h("p", {}, line))));
}

const refused = () => gate("This address is out of date", "Its token is not accepted. Each start of the emulator makes a new one.", "Open the address that aerobot printed last; it ends in #token=…");

const botFace = () => h("img", { src: "/static/icon.svg", alt: "" });

async function load() {
  const state = await get(`/_/state?recent=${RECENT}`);
  const store = new Store(state);
  forgetMedia();
  page.store = store;
  page.open = null;
  const { phone, number } = page.current;
  if (!store.phones.size) nobody();
  else choose(store.phones.has(phone) ? phone : store.phones.keys().next().value, store.numbers.has(number) ? number : store.main);
  drawList();
  state.typing.forEach(types);
  page.world.refresh();
  follow(state.seq, state.epoch, {
    event(event) {
      happened[event.event]?.(event);
      page.drawer.happened(event);
    },
    found() {
      page.online = true;
      look();
      drawSoon();
    },
    lost() {
      page.online = false;
      drawSoon();
    },
    refused,
    restarted: again,
  });
}

// The world began anew, or too much was missed: once it can be reached, all of it is loaded again.
function again() {
  load().catch((error) => (error instanceof Refused ? failed(error) : setTimeout(again, 1000)));
}

function failed(error) {
  if (error instanceof Refused && error.status === 401) refused();
  else gate("The emulator does not answer", error?.message ?? String(error), "Start it again and open the address that it prints.");
}

function start() {
  if (!takeToken()) {
    gate("This page needs its whole address", "Open the address exactly as aerobot printed it in the terminal: it ends in #token=…", "The token keeps other programs and web pages away from your bot.");
    return;
  }
  $("gate").hidden = true;
  $("app").hidden = false;
  load().catch(failed);
}

for (const [id, name] of [["add-phone", "plus"], ["world", "world"], ["back", "back"], ["down", "down"], ["attach", "clip"], ["send", "send"]]) $(id).append(icon(name));
Object.assign(page, { chats: new Chats(page), bar: new Bar(page), chat: new Chat(acts), composer: new Composer(acts), drawer: new Drawer(page), world: new World(page) });
$("add-phone").addEventListener("click", acts.newPhone);
$("world").addEventListener("click", acts.world);
$("mine").addEventListener("click", acts.person);
$("back").addEventListener("click", () => {
  document.body.classList.remove("in-chat");
  page.chats.focus();
});
document.addEventListener("visibilitychange", () => {
  if (!page.open) return;
  look();
  drawSoon(page.open);
  if (document.hidden) drawRest(); // no frame comes while nobody looks
});
addEventListener("hashchange", () => location.reload());
start();
