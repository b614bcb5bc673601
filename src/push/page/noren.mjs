// The names of noren.js for modules; the script itself defines the global `noren`.
import "./noren.js";

const { noren } = globalThis;
export const { connect, wok, subscribe, send, on, clear } = noren;
export default noren;
