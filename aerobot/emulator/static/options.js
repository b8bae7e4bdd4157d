// What can be tapped below a bubble: answers, links, codes.

import { h, icon, safeUrl, text } from "./dom.js";

const array = (value) => (Array.isArray(value) ? value : []);

export function below(message, acts) {
  if (message.direction === "in") return null;
  const made = message.type === "interactive" ? interactive(message, acts) : message.type === "template" ? template(message, acts) : [];
  return made.length ? h("div.options", { role: "group", "aria-label": "Answers" }, ...made) : null;
}

function interactive(message, acts) {
  const c = message.content ?? {};
  const action = c.action ?? {};
  const parameters = action.parameters ?? {};
  switch (c.type) {
    case "button":
      return array(action.buttons).map((button) => {
        const { id, title } = button?.reply ?? {};
        return option(text(title), "reply", message.chosen === id, () => acts.tap(message, "button", { id, title }, text(title)));
      });
    case "list":
      return [option(text(action.button), "list", Boolean(message.chosen), () => acts.sheet(message), "dialog")];
    case "cta_url":
      return [web(text(parameters.display_text), parameters.url)];
    case "location_request_message":
      return [option("Send location", "pin", false, () => acts.place(message), "dialog")];
    case "flow":
      return [option(text(parameters.flow_cta) || "Open form", "form", Boolean(message.chosen), () => acts.tap(message, "flow", null, "Sent"))];
    case "call_permission_request":
      return [option("Allow calls", "call", Boolean(message.chosen), () => acts.tap(message, "call_permission", null, "Calls allowed"))];
    default:
      return [];
  }
}

function template(message, acts) {
  return array(message.template?.buttons).map((button, place) => {
    const words = text(button?.text);
    const given = parameter(message, place);
    switch (text(button?.type)) {
      case "QUICK_REPLY": {
        const payload = text(button.payload) || text(given.payload) || words;
        return option(words, "reply", message.chosen === payload, () => acts.tap(message, "quick_reply", { payload, text: words }, words));
      }
      case "URL":
        return web(words, button.url);
      case "COPY_CODE":
        return copy(words || "Copy code", text(button.code) || text(given.coupon_code), acts);
      default:
        return h("span.option", {}, icon(button?.type === "PHONE_NUMBER" ? "call" : "form"), h("span", { dir: "auto" }, words));
    }
  });
}

// What the sender filled in for the button at this place.
function parameter(message, place) {
  const found = array(message.content?.components).find((part) => text(part?.type).toLowerCase() === "button" && Number(part.index) === place);
  return array(found?.parameters)[0] ?? {};
}

function option(label, name, chosen, onclick, popup) {
  return h("button.option", { type: "button", onclick, "aria-pressed": popup ? undefined : String(chosen), "aria-haspopup": popup, data: { chosen } },
    icon(chosen && !popup ? "tick" : name), h("span", { dir: "auto" }, label));
}

function web(label, address) {
  const href = safeUrl(address);
  return h("a.option", { href: href || undefined, target: "_blank", rel: "noopener noreferrer", title: href || undefined }, icon("link"), h("span", { dir: "auto" }, label));
}

function copy(label, code, acts) {
  const words = h("span", { dir: "auto", role: "status" }, label);
  return h("button.option", { type: "button", title: code, onclick: async () => {
    words.textContent = `${await acts.copy(code)}: ${code}`;
  } }, icon("copy"), words);
}
