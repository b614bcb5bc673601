// The file of a recording, read as it comes: a line of JSON and records, in version 2 with a digest behind each. The book
// of Noren has the format.

const HEAD = 13, DIGEST = 32, LONGEST = 64 * 1024 * 1024;
const KINDS = { 0x3c: "input", 0x3e: "output", 0x21: "gap", 0x2e: "end" };

// Calls `take(record)` for each record, in order, and returns the first line. `begin(header)` is called before.
export async function read(stream, begin, take) {
  const reader = stream.getReader();
  let rest = new Uint8Array(0), header = null;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    rest = joined(rest, value);
    if (!header) {
      const end = rest.indexOf(10);
      if (end < 0) continue;
      header = JSON.parse(new TextDecoder().decode(rest.subarray(0, end)));
      if (![1, 2].includes(header["noren-recording"])) throw new Error("this page does not know this version of recordings");
      rest = rest.subarray(end + 1);
      begin(header);
    }
    rest = records(rest, header["noren-recording"] === 2 ? DIGEST : 0, take);
  }
  if (!header) throw new Error("this is no recording");
  return header;
}

function joined(one, other) {
  if (one.length === 0) return other;
  const both = new Uint8Array(one.length + other.length);
  both.set(one);
  both.set(other, one.length);
  return both;
}

// Takes whole records, and gives the bytes behind the last one.
function records(bytes, digest, take) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  while (bytes.length - at >= HEAD) {
    const kind = KINDS[bytes[at]], length = view.getUint32(at + 9);
    if (!kind || length > LONGEST) throw new Error("this recording is damaged");
    const end = at + HEAD + length + digest;
    if (end > bytes.length) break;
    const seconds = Number(view.getBigUint64(at + 1)) / 1e6;
    take({ kind, at: seconds, data: bytes.slice(at + HEAD, at + HEAD + length) });
    at = end;
  }
  return bytes.slice(at);
}

// The text that a terminal has been sent, without what commands it, and the moment of each piece.
export class Text {
  decoder = new TextDecoder();
  pieces = [];
  add(record) {
    // Control sequences (ECMA-48, section 5.4), titles and such, and single escapes; then all other controls.
    const text = this.decoder.decode(record.data, { stream: true })
      .replace(/\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]P_^X][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]/g, "")
      .replace(/[^\P{Cc}\n]/gu, "");
    if (text) this.pieces.push({ at: record.at, text });
  }
  // Moments at which a text was written, at most `most`, each with what stands around it.
  find(wanted, most) {
    const all = this.pieces.map(({ text }) => text).join(""), low = all.toLowerCase(), sought = wanted.toLowerCase();
    const hits = [];
    let piece = 0, begin = 0;
    for (let at = low.indexOf(sought); at >= 0 && hits.length < most; at = low.indexOf(sought, at + sought.length)) {
      // The moment of its last letter: before that it was not there.
      const last = at + sought.length - 1;
      while (begin + this.pieces[piece].text.length <= last) begin += this.pieces[piece++].text.length;
      const line = all.slice(Math.max(0, all.lastIndexOf("\n", at) + 1, at - 30), at + sought.length + 50).split("\n")[0];
      hits.push({ at: this.pieces[piece].at, around: line });
    }
    return hits;
  }
}
