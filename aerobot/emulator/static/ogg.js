// Opus out of the WebM that a browser records, into the Ogg that WhatsApp's voice messages are. Bytes in, bytes out.

const IDS = { segment: 0x18538067, cluster: 0x1f43b675, tracks: 0x1654ae6b, track: 0xae, group: 0xa0, simple: 0xa3, block: 0xa1, head: 0x63a2 };
const INSIDE = new Set([IDS.segment, IDS.cluster, IDS.tracks, IDS.track, IDS.group]);
const SEGMENTS = 255; // of a page; each holds up to 255 bytes of a packet
const RATE = 48; // samples a millisecond: Opus always counts in 48 kHz
const letters = (words) => new TextEncoder().encode(words);

// Raises RangeError for what is not WebM.
export function oggOf(webm) {
  const { head, packets } = opusOf(webm);
  const pages = [page(2, 0, 0, [head]), page(0, 0, 1, [tags()])];
  let granule = 0;
  let some = [];
  let segments = 0;
  packets.forEach((packet, place) => {
    const needs = Math.floor(packet.length / 255) + 1;
    if (segments + needs > SEGMENTS) {
      pages.push(page(0, granule, pages.length, some));
      some = [];
      segments = 0;
    }
    some.push(packet);
    segments += needs;
    granule += samples(packet);
    if (place === packets.length - 1) pages.push(page(4, granule, pages.length, some));
  });
  return new Blob(pages, { type: "audio/ogg; codecs=opus" });
}

function opusOf(bytes) {
  const found = { head: letters("OpusHead"), packets: [] };
  let at = 0;
  while (at < bytes.length) {
    const id = number(bytes, at, true);
    const size = number(bytes, at + id.length, false);
    at += id.length + size.length;
    if (INSIDE.has(id.value)) continue; // what is inside comes next
    const inner = bytes.subarray(at, at + size.value);
    if (id.value === IDS.head) found.head = inner;
    else if (id.value === IDS.simple || id.value === IDS.block) found.packets.push(inner.subarray(4)); // after track, time, flags
    at += size.value;
  }
  return found;
}

// A number of EBML: its first byte says by leading zeros how long it is. An id keeps that mark.
function number(bytes, at, marked) {
  const length = Math.clz32(bytes[at]) - 23;
  if (!(length >= 1 && length <= 8)) throw new RangeError("not WebM");
  let value = marked ? bytes[at] : bytes[at] & (0xff >> length);
  for (let place = 1; place < length; place += 1) value = value * 256 + bytes[at + place];
  return { value, length };
}

// How long a packet sounds (RFC 6716, 3.1): its first byte has the length and number of its frames.
function samples(packet) {
  const form = packet[0] >> 3;
  const milliseconds = form < 12 ? [10, 20, 40, 60][form & 3] : form < 16 ? [10, 20][form & 1] : [2.5, 5, 10, 20][form & 3];
  const frames = [1, 2, 2, packet[1] & 63][packet[0] & 3];
  return milliseconds * frames * RATE;
}

function tags() {
  const vendor = letters("aerobot");
  return Uint8Array.of(...letters("OpusTags"), vendor.length, 0, 0, 0, ...vendor, 0, 0, 0, 0);
}

// One page (RFC 3533); flags: 2 the first, 4 the last.
function page(flags, granule, sequence, packets) {
  const lacing = packets.flatMap(({ length }) => [...Array(Math.floor(length / 255)).fill(255), length % 255]);
  const body = packets.reduce((sum, { length }) => sum + length, 0);
  const made = new Uint8Array(27 + lacing.length + body);
  const view = new DataView(made.buffer);
  made.set(letters("OggS"));
  made[5] = flags;
  view.setBigUint64(6, BigInt(granule), true);
  view.setUint32(14, 1, true);
  view.setUint32(18, sequence, true);
  made[26] = lacing.length;
  made.set(lacing, 27);
  let at = 27 + lacing.length;
  for (const packet of packets) {
    made.set(packet, at);
    at += packet.length;
  }
  view.setUint32(22, checksum(made), true);
  return made;
}

function checksum(bytes) {
  let sum = 0;
  for (const byte of bytes) {
    sum ^= byte << 24;
    for (let bit = 0; bit < 8; bit += 1) sum = sum < 0 ? (sum << 1) ^ 0x04c11db7 : sum << 1;
  }
  return sum >>> 0;
}
