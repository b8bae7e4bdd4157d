// The four panels of the drawer. Each makes nodes of what the emulator keeps about a message.

import { h, icon, span, text } from "./dom.js";
import { body } from "./json.js";

const STATES = { waiting: "waiting", delivered: "delivered", retrying: "retrying", not_sent: "not sent", gave_up: "given up" };
const TICKS = { sent: "Sent", delivered: "Delivered", read: "Read", played: "Played", failed: "Failed" };

const moment = (at) => new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hourCycle: "h23" });
const nothing = (words) => [h("p.empty", {}, words)];
const undelivered = (acts) => nothing(acts.held() ? "Webhooks are held: it is delivered when they are released." : "Nothing was delivered about this yet.");
const pill = (words, mood) => h("span.pill", { data: { mood } }, words);

function state({ state: found }) {
  return pill(STATES[found] ?? text(found), found === "delivered" ? "good" : found === "waiting" ? "" : "bad");
}

const what = ({ what: found }) => ({ message: "Message", batch: "Batch" })[found] ?? `Receipt: ${text(found)}`;

export const PANELS = { webhook, attempts, graph, receipts };

function webhook({ deliveries }, acts) {
  if (!deliveries.length) return undelivered(acts);
  return deliveries.map((one, place) => fold(`body-${one.delivery}`, place === deliveries.length - 1,
    [h("strong", {}, what(one)), state(one), h("time", {}, moment(one.at))],
    signature(one), body("Body", text(one.body), { copy: acts.copy, exact: true })));
}

// The signature is over exactly these bytes.
function signature({ attempts: made }) {
  const headers = Object.entries(made.at(-1)?.request ?? {});
  const found = headers.find(([name]) => name.toLowerCase() === "x-hub-signature-256");
  return found ? h("p.signed", {}, h("strong", {}, "X-Hub-Signature-256"), h("code", {}, text(found[1]))) : null;
}

function attempts({ deliveries }, acts) {
  if (!deliveries.length) return undelivered(acts);
  return deliveries.map((one) => h("section.of", {},
    h("div.of-head", {}, h("strong", {}, what(one)), state(one),
      h("button.small", { type: "button", "aria-label": `Redeliver: ${what(one)}`, onclick: () => acts.redeliver({ delivery: one.delivery }) }, icon("again"), "Redeliver")),
    one.why ? h("p.why", {}, text(one.why)) : null,
    ...one.attempts.map((attempt) => tried(one, attempt, acts)),
    one.next_at ? h("p.next", {}, icon("clock"), h("span", { data: { next: one.next_at } }, next(one.next_at, acts.now()))) : null));
}

export const next = (at, now) => (at > now ? `Next try in ${span((at - now) / 1000)}, at ${moment(at)}` : "Next try at once");

function tried({ delivery }, one, acts) {
  const good = one.status >= 200 && one.status < 300;
  return fold(`attempt-${delivery}-${one.attempt}`, false,
    [h("strong", {}, `#${one.attempt}`), pill(one.status ? String(one.status) : "no answer", good ? "good" : "bad"), h("small", {}, `${one.milliseconds} ms`), h("time", {}, moment(one.at))],
    one.error ? h("p.why", {}, text(one.error)) : null,
    h("p.address", {}, text(one.url)),
    headers("Request headers", one.request), headers("Response headers", one.response),
    one.answer ? body("Answer", text(one.answer), { copy: acts.copy }) : null);
}

function headers(title, found) {
  const all = Object.entries(found ?? {});
  return all.length ? h("div.headers", {}, h("strong", {}, title), h("dl", {}, ...all.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, text(value))]))) : null;
}

function graph({ calls }, acts) {
  if (!calls.length) return nothing("No Graph call has to do with this yet.");
  return calls.map((one) => {
    const good = one.status >= 200 && one.status < 300;
    const code = one.code ? pill(`code ${one.code}`, "bad") : null;
    const summed = [h("strong", {}, doing(one)), pill(one.status ? String(one.status) : "no answer", good ? "good" : "bad"), code, one.fault ? pill(text(one.fault), "bad") : null,
      h("small", {}, `${one.milliseconds} ms`), h("time", {}, moment(one.at))];
    return fold(`call-${one.call}`, calls.length === 1, summed,
      h("p.address", {}, `${text(one.method)} ${text(one.path)}`),
      one.request ? body("Request", text(one.request), { copy: acts.copy }) : null,
      one.answer ? body("Answer", text(one.answer), { copy: acts.copy }) : null);
  });
}

function read(source) {
  try {
    return JSON.parse(source) ?? {};
  } catch {
    return {};
  }
}

// What a call was for, in a word or two.
function doing({ method, path, request }) {
  if (!text(path).endsWith("/messages")) return `${text(method)} …/${text(path).split("/").pop().slice(0, 24)}`;
  const { status, type, typing_indicator: typing } = read(text(request));
  if (status === "read") return typing ? "Read, typing" : "Read";
  return `Send ${text(type) || "text"}`;
}

function receipts({ message, deliveries, calls }, acts) {
  const steps = message.direction === "in" ? inbound(message, deliveries, calls) : outbound(message, deliveries, calls);
  const shown = steps.filter(([, at]) => at).map(([words, at, note, mood]) => h("li", { data: { mood } },
    h("strong", {}, words), h("time", { datetime: new Date(at).toISOString() }, moment(at)), note ? h("p", {}, note) : null));
  const error = message.error ? [body("Error", JSON.stringify(message.error), { copy: acts.copy })] : [];
  return [h("ol.timeline", {}, ...shown), ...error];
}

function inbound(message, deliveries, calls) {
  const webhook = deliveries[0];
  const taken = webhook?.state === "delivered" ? webhook.attempts.findLast(({ status }) => status === 200) : undefined;
  const seen = calls.find((one) => read(text(one.request)).status === "read" && one.status === 200);
  return [
    ["Written on the phone", message.at, "one tick"],
    ["Webhook made", webhook?.at, webhook ? `delivery ${webhook.delivery}` : ""],
    ["Taken by the bot’s webhook", taken?.at, taken ? `200 after ${taken.milliseconds} ms: two ticks` : "", "good"],
    ["Read by the bot", seen?.at, "two blue ticks", "good"],
  ];
}

function outbound(message, deliveries, calls) {
  const call = calls[0];
  const told = (one) => ({ delivered: "the bot was told", waiting: "the bot is told later" })[one.state] ?? `the bot was not told: ${STATES[one.state] ?? text(one.state)}`;
  return [
    ["Accepted by Graph", call?.at ?? message.at, call ? `${call.status} after ${call.milliseconds} ms` : ""],
    ...deliveries.map((one) => [TICKS[one.what] ?? what(one), one.at, told(one), one.what === "failed" ? "bad" : one.state === "delivered" ? "good" : ""]),
  ];
}

function fold(key, open, head, ...inside) {
  return h("details.fold", { data: { key }, open }, h("summary", {}, ...head.filter(Boolean)), ...inside.filter(Boolean));
}
