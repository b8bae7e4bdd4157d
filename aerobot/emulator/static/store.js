// What the page knows: phones, chats and who is typing, kept current by the emulator's events. It draws nothing.

export class Store {
  constructor(state) {
    this.epoch = state.epoch;
    this.number = state.number;
    this.phones = new Map();
    this.trouble = "";
    for (const phone of state.phones) this.addPhone(phone);
    for (const message of state.messages) this.put(message);
    for (const [phone, seconds] of Object.entries(state.typing)) this.types(phone, seconds);
    for (const phone of this.phones.values()) phone.unread = 0;
  }

  addPhone({ phone, name, number }) {
    const known = this.phones.get(phone);
    if (known) known.name = name;
    else this.phones.set(phone, { phone, name, number: number ?? `+${phone}`, messages: new Map(), unread: 0, typingUntil: 0 });
  }

  chat(phone) {
    if (!this.phones.has(phone)) this.addPhone({ phone, name: phone });
    return this.phones.get(phone);
  }

  find(id) {
    for (const phone of this.phones.values()) if (phone.messages.has(id)) return phone.messages.get(id);
    return undefined;
  }

  // Takes a message in; what has to be drawn anew.
  put(message, client = "") {
    const chat = this.chat(message.phone);
    if (message.direction === "out") chat.typingUntil = 0;
    if (client) chat.messages.delete(client);
    chat.messages.set(message.id, message);
    chat.last = message;
    if (message.type === "reaction") return this.#reaction(chat, message);
    if (message.direction === "out") chat.unread += 1;
    return this.#choice(chat, message);
  }

  #reaction(chat, { content, direction }) {
    const target = chat.messages.get(content?.message_id);
    if (!target) return [];
    const reactions = { ...target.reactions };
    if (content.emoji) reactions[direction] = content.emoji;
    else delete reactions[direction];
    target.reactions = reactions;
    return [target];
  }

  #choice(chat, { type, content, about, direction }) {
    const target = chat.messages.get(about);
    const chosen = content?.[content?.type]?.id;
    if (type !== "interactive" || direction !== "in" || !target || !chosen) return [];
    target.chosen = chosen;
    return [target];
  }

  tick({ wamid, status, error }) {
    const found = this.find(wamid);
    if (found) Object.assign(found, { status, error });
    return found;
  }

  types(phone, seconds) {
    this.chat(phone).typingUntil = Date.now() + seconds * 1000;
  }

  typing(phone) {
    return (this.phones.get(phone)?.typingUntil ?? 0) > Date.now();
  }
}
