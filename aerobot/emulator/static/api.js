// Talks to the emulator's control API. The token comes from the address (#token=…), lives in sessionStorage and
// travels in a header only.

const KEY = "aerobot-token";
export const viewer = crypto.randomUUID();

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem(KEY, given);
    history.replaceState(null, "", location.pathname);
  }
  return sessionStorage.getItem(KEY) ?? "";
}

async function call(method, path, options = {}) {
  const headers = { Authorization: `Bearer ${sessionStorage.getItem(KEY) ?? ""}`, ...options.headers };
  const response = await fetch(path, { method, cache: "no-store", credentials: "omit", ...options, headers });
  if (!response.ok) {
    const body = await response.json().catch(() => ({}));
    throw new Refused(response.status, body.error?.message ?? `The emulator answered ${response.status}.`);
  }
  return response;
}

export const get = async (path) => (await call("GET", path)).json();

export async function post(path, body) {
  const isForm = body instanceof FormData;
  const headers = isForm ? {} : { "Content-Type": "application/json" };
  return (await call("POST", path, { headers, body: isForm ? body : JSON.stringify(body) })).json();
}

export const del = async (path) => (await call("DELETE", path)).json();

// Shown inline only with one of these types; anything else is a download without a type of its own.
const SHOWN = /^(image\/(jpeg|png|gif|webp)|video\/(mp4|webm|3gpp|quicktime)|audio\/(aac|amr|mp4|mpeg|ogg|opus|wav|webm|x-wav))$/;
const files = new Map();

export function media(id) {
  if (!files.has(id)) files.set(id, fetchMedia(id));
  return files.get(id);
}

// After a reset another file may have the same id.
export function forgetMedia() {
  for (const file of files.values()) file.then(({ url }) => URL.revokeObjectURL(url), () => {});
  files.clear();
}

async function fetchMedia(id) {
  const response = await call("GET", `/_/media/${encodeURIComponent(id)}`);
  const given = (response.headers.get("X-Media-Type") ?? "").split(";")[0].trim().toLowerCase();
  const type = SHOWN.test(given) ? given : "application/octet-stream";
  const bytes = await response.arrayBuffer();
  const shown = type !== "application/octet-stream";
  return { url: URL.createObjectURL(new Blob([bytes], { type })), size: bytes.byteLength, shown, given };
}

const SILENCE = 15_000; // ms without a line (the emulator says something every 5 s) after which we reconnect

// Reads events after number `since` for ever. `on` has event(e), lost(), refused(error) and restarted().
export async function follow(since, epoch, on) {
  let seq = since;
  let wait = 250;
  for (;;) {
    try {
      for await (const event of lines(seq)) {
        if (event.event === "hello") {
          if (event.epoch !== epoch) return on.restarted();
          wait = 250;
          on.found();
        } else if (event.event === "gap" || event.event === "restarted") return on.restarted();
        else if (event.seq !== undefined) {
          seq = event.seq;
          on.event(event);
        }
      }
    } catch (error) {
      if (error instanceof Refused && (error.status === 401 || error.status === 403)) return on.refused(error);
    }
    on.lost();
    await new Promise((resolve) => setTimeout(resolve, wait));
    wait = Math.min(wait * 2, 4000);
  }
}

async function* lines(since) {
  const stop = new AbortController();
  let timer = setTimeout(() => stop.abort(), SILENCE);
  const path = `/_/events?since=${since}&viewer=${viewer}`;
  const response = await call("GET", path, { signal: stop.signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(() => stop.abort(), SILENCE);
      const parts = (rest + value).split("\n");
      rest = parts.pop();
      for (const part of parts) if (part) yield JSON.parse(part);
    }
  } finally {
    clearTimeout(timer);
    stop.abort();
  }
}
