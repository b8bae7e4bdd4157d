// Records a voice message with the microphone of this machine.

import { oggOf } from "./ogg.js";

const KINDS = ["audio/ogg;codecs=opus", "audio/webm;codecs=opus", "audio/mp4"];

// Begins at once; `stop()` gives the file, `drop()` forgets it. Raises what the browser says where it is not allowed.
export async function record() {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  const recorder = new MediaRecorder(stream, { mimeType: KINDS.find((kind) => MediaRecorder.isTypeSupported(kind)) });
  const parts = [];
  recorder.addEventListener("dataavailable", ({ data }) => parts.push(data));
  const ended = new Promise((resolve) => recorder.addEventListener("stop", resolve, { once: true }));
  const drop = () => {
    if (recorder.state !== "inactive") recorder.stop();
    for (const track of stream.getTracks()) track.stop();
  };
  recorder.start();
  return {
    drop,
    async stop() {
      drop();
      await ended;
      return file(new Blob(parts, { type: recorder.mimeType }));
    },
  };
}

async function file(blob) {
  if (!blob.type.startsWith("audio/webm")) return new File([blob], "voice", { type: blob.type });
  const ogg = oggOf(new Uint8Array(await blob.arrayBuffer()));
  return new File([ogg], "voice.ogg", { type: ogg.type });
}
