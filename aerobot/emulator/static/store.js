// What the page knows: bots, phones, their chats, the clock and what is set, kept current by the emulator's events.
// It draws nothing. A chat is one phone with one bot.

const keyOf = (phone, number) => `${phone} ${number}`;
const UNSEEN = new Set(["accepted", "sent", "delivered"]);
export const RECENT = 200; // messages of each chat that are loaded at first

export class Store {
  constructor(state) {
    this.numbers = new Map(state.numbers.map((found) => [found.number, found]));
    this.phones = new Map();
    this.chats = new Map();
    this.messages = new Map(); // every message by its id
    this.trouble = "";
    this.settings = state.settings;
    this.faults = state.faults;
    this.special = state.special ?? [];
    this.waiting = state.waiting ?? 0;
    this.setClock(state.clock);
    for (const phone of state.phones) this.addPhone(phone);
    for (const message of state.messages) this.put(message);
    for (const found of state.windows ?? []) this.opens(found);
    for (const found of state.typing) this.types(found);
    for (const chat of this.chats.values()) chat.more = chat.messages.size >= RECENT;
  }

  // -- bots, phones and chats --

  get main() {
    return this.numbers.keys().next().value;
  }

  addPhone({ phone, name, number, username, user_id }) {
    const known = this.phones.get(phone);
    const shown = number || (username ? `@${username}` : /^\d+$/.test(phone) ? `+${phone}` : phone);
    const found = { phone, name, number: shown, username: username ?? "", user_id: user_id ?? "" };
    if (known) Object.assign(known, found);
    else this.phones.set(phone, found);
  }

  dropPhone(phone) {
    this.phones.delete(phone);
    for (const [key, chat] of this.chats) {
      if (chat.phone !== phone) continue;
      for (const id of chat.messages.keys()) this.messages.delete(id);
      this.chats.delete(key);
    }
  }

  // A person has another number: the chats stay, under the new key.
  movePhone({ old, ...phone }) {
    this.phones = new Map([...this.phones].map(([key, found]) => (key === old ? [phone.phone, { ...found, phone: phone.phone }] : [key, found])));
    this.addPhone(phone);
    for (const chat of [...this.chats.values()]) {
      if (chat.phone !== old) continue;
      this.chats.delete(keyOf(old, chat.number));
      chat.phone = phone.phone;
      for (const message of chat.messages.values()) message.phone = phone.phone;
      this.chats.set(keyOf(chat.phone, chat.number), chat);
    }
  }

  chat(phone, number = this.main) {
    const key = keyOf(phone, number);
    if (!this.chats.has(key)) {
      if (!this.phones.has(phone)) this.addPhone({ phone, name: phone });
      this.chats.set(key, { phone, number, messages: new Map(), last: null, unread: new Set(), typingUntil: 0, windowUntil: 0, more: false });
    }
    return this.chats.get(key);
  }

  find(id) {
    return this.messages.get(id);
  }

  // -- messages --

  // Takes a message in; what has to be drawn anew. `client` is the page's own name for what it has just sent.
  put(message, client = "") {
    message.number ||= this.main;
    const chat = this.chat(message.phone, message.number);
    if (client) {
      chat.messages.delete(client);
      this.messages.delete(client);
    }
    chat.messages.set(message.id, message);
    this.messages.set(message.id, message);
    chat.last = message;
    if (message.direction === "out") {
      chat.typingUntil = 0;
      if (UNSEEN.has(message.status) && message.type !== "reaction") chat.unread.add(message.id);
    }
    return EFFECTS[message.type]?.(message, chat) ?? [];
  }

  // Puts earlier messages of a chat before those that are here.
  prepend(chat, messages) {
    chat.messages = new Map([...messages.map((message) => [message.id, message]), ...chat.messages]);
    for (const message of messages) this.messages.set(message.id, message);
    chat.more = messages.length >= RECENT;
  }

  tick({ wamid, status, error }) {
    const found = this.find(wamid);
    if (!found) return undefined;
    Object.assign(found, { status, error });
    if (!UNSEEN.has(status)) this.chat(found.phone, found.number).unread.delete(wamid);
    return found;
  }

  types({ phone, number, seconds }) {
    this.chat(phone, number).typingUntil = Date.now() + seconds * 1000;
  }

  typing(chat) {
    return chat.typingUntil > Date.now();
  }

  // -- time --

  setClock({ now, offset }) {
    this.skew = now - Date.now();
    this.offset = offset;
  }

  // The emulated time, in ms since 1970.
  now() {
    return Date.now() + this.skew;
  }

  opens({ phone, number, until }) {
    this.chat(phone, number).windowUntil = until;
  }
}

// What a message does to earlier ones of its chat.
const EFFECTS = {
  reaction({ content, direction }, chat) {
    const target = chat.messages.get(content?.message_id);
    if (!target) return [];
    const reactions = { ...target.reactions };
    if (content.emoji) reactions[direction] = content.emoji;
    else delete reactions[direction];
    target.reactions = reactions;
    return [target];
  },
  interactive: ({ content, about, direction }, chat) => chosen(direction, about, content?.[content?.type]?.id, chat),
  button: ({ content, about, direction }, chat) => chosen(direction, about, content?.payload ?? content?.text, chat),
  edit({ content }, chat) {
    const target = chat.messages.get(content?.original_message_id);
    const { type, [type]: inner } = content?.message ?? {};
    if (!target || !inner) return [];
    Object.assign(target, { edited: true, content: { ...target.content, ...inner }, text: inner.body ?? inner.caption ?? target.text });
    return [target];
  },
  revoke({ content }, chat) {
    const target = chat.messages.get(content?.original_message_id);
    if (target) target.revoked = true;
    return target ? [target] : [];
  },
};

function chosen(direction, about, choice, chat) {
  const target = chat.messages.get(about);
  if (direction !== "in" || !target || !choice) return [];
  target.chosen = choice;
  return [target];
}
