// whatsapp-api-js at work: one JSON line for each operation, then one for each thing that its webhook is told.
//
// The library has no setting for Graph's address. Its documented `ponyfill.fetch` changes the host here, nothing else.
// The first line on stdin names a message to react to, and the work begins; each later one is a text to send. It ends
// with stdin.

import { webcrypto } from "node:crypto";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { WhatsAppAPI } from "whatsapp-api-js/middleware/node-http";
import {
  ActionButtons, ActionCTA, ActionCallPermission, ActionCatalog, ActionContactRequest, ActionDataExchangeFlow,
  ActionList, ActionLocation, ActionNavigateFlow, ActionProduct, ActionProductList, Audio, Body, BodyComponent,
  BodyParameter, Button, CatalogProduct, Contacts, Document, Footer, Header, Image, Interactive, Language, ListSection,
  Location, Name, Phone, Product, ProductSection, Reaction, Row, Sticker, Template, Text, Video,
} from "whatsapp-api-js/messages";

globalThis.crypto ??= webcrypto; // which Node 18 hides behind a flag

const { GRAPH_URL, ACCESS_TOKEN, APP_SECRET, VERIFY_TOKEN, PHONE_NUMBER_ID, RECIPIENT } = process.env;
const LINK = "https://example.com/file";
const PIXEL = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z1DPAAADggEfa2+aAAAAAElFTkSuQmCC", "base64",
);

const say = (op, more) => process.stdout.write(`${JSON.stringify({ op, ...more })}\n`);

const api = new WhatsAppAPI({
  token: ACCESS_TOKEN,
  appSecret: APP_SECRET,
  webhookVerifyToken: VERIFY_TOKEN,
  v: "v25.0",
  ponyfill: {
    fetch: (url, options) => fetch(String(url).replace("https://graph.facebook.com", GRAPH_URL), options),
  },
});
api.on.message = ({ phoneID, from, name, message, recipient }) =>
  say("message", { phoneID, from, name, message, recipient });
api.on.status = ({ id, phone, status, error, pricing, biz_opaque_callback_data: data }) =>
  say("status", { id, phone, status, error, pricing, data });

const server = createServer(async (request, response) => {
  if (request.method === "POST") {
    response.statusCode = await api.handle_post(request);
    response.end();
    return;
  }
  try {
    response.end(api.handle_get(request));
  } catch (code) {
    response.statusCode = code;
    response.end();
  }
});

const send = (message, context, data) => api.sendMessage(PHONE_NUMBER_ID, RECIPIENT, message, context, data);
const choose = (action, header, footer) => send(new Interactive(action, new Body("Hi"), header, footer));

function form(type, data, name) {
  const made = new FormData();
  made.set("file", new Blob([data], { type }), name);
  return made;
}

function operations(about) {
  const files = {};
  const buttons = new ActionButtons(new Button("yes", "Yes"), new Button("no", "No"));
  const list = new ActionList("Open", new ListSection("Days", new Row("mon", "Monday", "at nine")));
  const products = [new Product("SKU-1"), new Product("SKU-2")];
  const upload = async (kind, type, data) => {
    const answer = await api.uploadMedia(PHONE_NUMBER_ID, form(type, data, kind));
    files[kind] = answer.id;
    return answer;
  };
  return {
    "upload image": () => upload("image", "image/png", PIXEL),
    "upload video": () => upload("video", "video/mp4", "a video"),
    "upload audio": () => upload("audio", "audio/ogg", "a song"),
    "upload document": () => upload("document", "application/pdf", "%PDF-1.4"),
    "upload sticker": () => upload("sticker", "image/webp", "a sticker"),
    "text": () => send(new Text("Héllo/😀")),
    "text with a preview": () => send(new Text(LINK, true)),
    "text with data": () => send(new Text("Tracked"), undefined, "order 7"),
    "text in context": () => send(new Text("Hi yourself"), about),
    "image by id": () => send(new Image(files.image, true, "Look")),
    "video by id": () => send(new Video(files.video, true, "Look")),
    "audio by id": () => send(new Audio(files.audio, true)),
    "voice by id": () => send(new Audio(files.audio, true, true)),
    "document by id": () => send(new Document(files.document, true, "Look", "a.pdf")),
    "sticker by id": () => send(new Sticker(files.sticker, true)),
    "image by link": () => send(new Image(LINK)),
    "video by link": () => send(new Video(LINK)),
    "audio by link": () => send(new Audio(LINK)),
    "document by link": () => send(new Document(LINK, false, undefined, "a.pdf")),
    "sticker by link": () => send(new Sticker(LINK)),
    "location": () => send(new Location(4.87, 52.36, "Vondelpark", "Amsterdam")),
    "contact": () => send(new Contacts([new Name("Sam Okafor", "Sam"), new Phone("+15550109921", "WORK")])),
    "reaction": () => send(new Reaction(about, "👍")),
    "reaction removed": () => send(new Reaction(about)),
    "buttons": () => choose(buttons, new Header("Top"), new Footer("Below")),
    "buttons under an image": () => choose(buttons, new Header(new Image(files.image, true))),
    "list": () => choose(list),
    "link button": () => choose(new ActionCTA("Pay", LINK)),
    "flow to a screen": () => choose(new ActionNavigateFlow("t", "7", "Book", "DAY", { seats: 2 })),
    "flow with an endpoint": () => choose(new ActionDataExchangeFlow("t", "7", "Book")),
    "location request": () => choose(new ActionLocation()),
    "contact request": () => choose(new ActionContactRequest()),
    "call permission request": () => choose(new ActionCallPermission()),
    "catalogue": () => choose(new ActionCatalog(new Product("SKU-1"))),
    "product": () => send(new Interactive(new ActionProduct(new CatalogProduct("SKU-1", "44")))),
    "products": () =>
      choose(new ActionProductList("44", new ProductSection("New", ...products)), new Header("Shop")),
    "template": () => send(new Template("hello_world", new Language("en_US"))),
    "template with a parameter": () =>
      send(new Template("greeting", new Language("en_US"), new BodyComponent(new BodyParameter("Ana")))),
    "mark as read": () => api.markAsRead(PHONE_NUMBER_ID, about),
    "typing": () => api.markAsRead(PHONE_NUMBER_ID, about, "text"),
    "retrieve media": async () => {
      files.found = await api.retrieveMedia(files.image, PHONE_NUMBER_ID);
      return files.found;
    },
    "fetch media": async () => {
      const response = await api.fetchMedia(files.found.url);
      const bytes = Buffer.from(await response.arrayBuffer());
      return { type: response.headers.get("content-type"), same: bytes.equals(PIXEL) };
    },
    "delete media": () => api.deleteMedia(files.image, PHONE_NUMBER_ID),
    "retrieve deleted media": () => api.retrieveMedia(files.image),
    "fetch deleted media": async () => ({ status: (await api.fetchMedia(files.found.url)).status }),
    "unknown file": () => send(new Image("1", true)),
  };
}

async function attempt(op, run) {
  try {
    say(op, { answer: await run() });
  } catch (error) {
    say(op, { error: String(error) });
  }
}

async function work(about) {
  for (const [op, run] of Object.entries(operations(about))) await attempt(op, run);
  say("done");
}

server.listen(0, "127.0.0.1", () => say("listening", { url: `http://127.0.0.1:${server.address().port}/hook` }));

let begun = false;
createInterface({ input: process.stdin })
  .on("line", (line) => {
    if (begun) attempt("said", () => send(new Text(line)));
    else work(line);
    begun = true;
  })
  .on("close", () => process.exit());
