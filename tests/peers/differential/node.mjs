// An app on Node's own server, with the idioms of its frameworks: a decoded path whose empty segments are dropped, the query
// as `querystring` reads it, cookies as the package `cookie` does (the first of two counts, values are decoded).

import http from "node:http";
import querystring from "node:querystring";

const PAGES = { admin: "GUARDED", login: "login", basic: "basic", session: "session", logout: "logout", receive: "receive" };
const loggedOut = new Set();

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function cookies(line) {
  const found = Object.create(null);
  for (const pair of (line ?? "").split(";")) {
    const at = pair.indexOf("=");
    if (at < 0) continue;
    const name = pair.slice(0, at).trim();
    let value = pair.slice(at + 1).trim();
    if (value.startsWith('"')) value = value.slice(1, -1);
    found[name] ??= decoded(value);
  }
  return found;
}

function pageOf(path) {
  let segments = decoded(path).split("/").filter(Boolean);
  if (segments[0] === "wok" && ["admin", "login"].includes(segments[1])) segments = segments.slice(1);
  return Object.hasOwn(PAGES, segments[0] ?? "") ? PAGES[segments[0]] : "other";
}

const server = http.createServer((request, response) => {
  request.resume();
  const [path, query] = request.url.split(/\?(.*)/s);
  const page = pageOf(path);
  const session = cookies(request.headers.cookie).wok ?? null;
  const authorization = request.headers.authorization ?? null;
  const basic = /^ *basic +([A-Za-z0-9._~+/-]+=*) *$/i.exec(authorization ?? "");
  const user = basic ? Buffer.from(basic[1], "base64").toString() : null;
  if (page === "logout" && session) loggedOut.add(session);
  const known = (session?.startsWith("good") && !loggedOut.has(session)) || user?.split(":").slice(1).join(":").startsWith("good")
    || /^bearer +good/i.test(authorization ?? "");
  const channel = querystring.parse(query ?? "").channel ?? null;
  const headers = {};
  for (let at = 0; at < request.rawHeaders.length; at += 2) {
    const name = request.rawHeaders[at];
    headers[name] = headers[name] === undefined ? request.rawHeaders[at + 1] : `${headers[name]}, ${request.rawHeaders[at + 1]}`;
  }
  const body = JSON.stringify({
    page, path: decoded(path), method: request.method, target: request.url,
    channel: Array.isArray(channel) ? channel.at(-1) : channel,
    told: request.headers["noren-channel"] ?? null, session, authorization, user, headers,
  });
  response.writeHead(page === "login" || page === "basic" || (page === "session" && !known) ? 401 : 200, {
    "content-type": "application/json", "content-length": Buffer.byteLength(body),
  });
  response.end(body);
});
server.keepAliveTimeout = 20_000;
server.listen(0, "127.0.0.1", () => console.log(`ready 127.0.0.1:${server.address().port}`));
process.stdin.resume().on("end", () => process.exit(0));
