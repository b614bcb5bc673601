// A small terminal: enough of CR, LF, BS, colours and clear screen for a shell on a serial line.
// `Screen` is what the bytes mean, `Terminal` shows it and turns keys into bytes.

const MOST_ROWS = 600;
// Longer lines go on in the next row, so that a number in a sequence cannot fill the memory.
const MOST_COLUMNS = 1000;
const MOST_PASTE = 4096;
const TAB = 8;

// One control sequence (ECMA-48): ESC [ parameters final, ESC ] text BEL, or ESC and one more.
const SEQUENCE = /^\x1b(?:\[([0-9;?]*)[ -/]*([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)|[^[\]])/;

/** Rows of cells; each cell is a character and the class names of its look. */
export class Screen {
  rows = [[]];
  row = 0;
  column = 0;
  #look = "";
  #colour = "";
  #bold = false;
  #unfinished = "";

  /** Takes text that came from the far end. A sequence may be cut anywhere. */
  feed(text) {
    let rest = this.#unfinished + text;
    this.#unfinished = "";
    while (rest) {
      if (rest[0] === "\x1b") {
        const match = SEQUENCE.exec(rest);
        if (!match) {
          // Not complete yet, or too long to be one.
          if (rest.length < 64) this.#unfinished = rest;
          return;
        }
        this.#control(match[1] ?? "", match[2]);
        rest = rest.slice(match[0].length);
      } else {
        const character = String.fromCodePoint(rest.codePointAt(0));
        this.#put(character);
        rest = rest.slice(character.length);
      }
    }
  }

  #put(character) {
    if (character === "\r") this.column = 0;
    else if (character === "\n") this.#down();
    else if (character === "\b") this.column = Math.max(0, this.column - 1);
    else if (character === "\t") this.column += TAB - (this.column % TAB);
    else if (character >= " " && character !== "\x7f") {
      if (this.column >= MOST_COLUMNS) {
        this.#down();
        this.column = 0;
      }
      const row = this.rows[this.row];
      while (row.length < this.column) row.push([" ", ""]);
      row[this.column] = [character, this.#look];
      this.column += 1;
    }
  }

  #down() {
    this.row += 1;
    if (this.row === this.rows.length) this.rows.push([]);
    if (this.rows.length > MOST_ROWS) {
      this.rows.shift();
      this.row -= 1;
    }
  }

  #control(parameters, final) {
    const numbers = parameters.split(";").map(Number);
    const amount = Math.max(1, numbers[0] || 1);
    const row = this.rows[this.row];
    if (final === "m") numbers.forEach((number) => this.#style(number));
    else if (final === "H") [this.row, this.column] = [0, 0];
    else if (final === "C") this.column = Math.min(MOST_COLUMNS, this.column + amount);
    else if (final === "D") this.column = Math.max(0, this.column - amount);
    else if (final === "K" && numbers[0] === 0) row.length = Math.min(row.length, this.column);
    else if (final === "K") row.length = 0;
    else if (final === "J" && numbers[0] >= 2) {
      this.rows = [[]];
      this.row = 0;
    }
  }

  #style(number) {
    if (number === 0) [this.#bold, this.#colour] = [false, ""];
    else if (number === 1) this.#bold = true;
    else if (number === 22) this.#bold = false;
    else if (number === 39) this.#colour = "";
    else if ((number >= 30 && number <= 37) || (number >= 90 && number <= 97)) this.#colour = `c${number}`;
    this.#look = [this.#colour, this.#bold ? "bold" : ""].filter(Boolean).join(" ");
  }
}

const KEYS = {
  Enter: "\r",
  Backspace: "\x7f",
  Escape: "\x1b",
  ArrowUp: "\x1b[A",
  ArrowDown: "\x1b[B",
  ArrowRight: "\x1b[C",
  ArrowLeft: "\x1b[D",
};

/** Shows a `Screen` in `view` and sends what is typed into `keys` to `send(text)`. */
export class Terminal {
  #screen = new Screen();
  #view;
  #keys;
  #send;
  #painted = [];
  #pending = 0;
  // Whether the newest line stays in sight. Scrolling back ends it, typing begins it again.
  #follows = true;

  constructor(panel, view, keys, send) {
    this.#view = view;
    this.#keys = keys;
    this.#send = (text) => {
      this.#follows = true;
      this.#toEnd();
      send(text);
    };
    view.addEventListener("scroll", () => {
      this.#follows = view.scrollTop + view.clientHeight >= view.scrollHeight - 24;
    });
    new ResizeObserver(() => this.#toEnd()).observe(view);
    keys.addEventListener("keydown", (event) => this.#key(event));
    keys.addEventListener("beforeinput", (event) => this.#edit(event));
    keys.addEventListener("input", (event) => event.isComposing || this.#typed());
    keys.addEventListener("compositionend", () => this.#typed());
    keys.addEventListener("paste", (event) => this.#paste(event));
    // A click is for typing, dragging is for copying.
    panel.addEventListener("click", () => getSelection().isCollapsed && keys.focus({ preventScroll: true }));
  }

  write(text) {
    this.#screen.feed(text);
    this.#pending ||= requestAnimationFrame(() => this.#paint());
  }

  // Tab is left to the browser: it must be possible to leave the console by keyboard.
  #key(event) {
    if (event.isComposing || event.metaKey || event.altKey) return;
    const pages = { PageUp: -0.9, PageDown: 0.9 }[event.key];
    if (pages) {
      event.preventDefault();
      this.#view.scrollBy(0, pages * this.#view.clientHeight);
      return;
    }
    let bytes = KEYS[event.key];
    if (event.ctrlKey) {
      const copies = event.key === "c" && !getSelection().isCollapsed;
      const letter = !event.shiftKey && /^[acdeklu]$/.test(event.key) && !copies;
      bytes = letter ? String.fromCharCode(event.key.charCodeAt(0) & 31) : undefined;
    }
    if (bytes === undefined) return;
    event.preventDefault();
    this.#send(bytes);
  }

  // Keyboards on glass send no key for these.
  #edit(event) {
    const bytes = { deleteContentBackward: "\x7f", insertLineBreak: "\r", insertParagraph: "\r" }[event.inputType];
    if (bytes === undefined || event.isComposing) return;
    event.preventDefault();
    this.#send(bytes);
  }

  #typed() {
    const text = this.#keys.value;
    this.#keys.value = "";
    if (text) this.#send(text.replace(/\r?\n/g, "\r"));
  }

  #paste(event) {
    event.preventDefault();
    const text = event.clipboardData.getData("text/plain").slice(0, MOST_PASTE);
    if (text) this.#send(text.replace(/\r?\n/g, "\r"));
  }

  // Rows are painted again only when they look different, so a selection in the others survives.
  #paint() {
    this.#pending = 0;
    const { rows, row, column } = this.#screen;
    rows.forEach((cells, index) => {
      const cursor = index === row ? column : -1;
      const key = `${cursor}|${cells.map(([text, look]) => text + look).join("\0")}`;
      if (this.#painted[index] === key) return;
      this.#painted[index] = key;
      const line = paintRow(cells, cursor);
      const old = this.#view.children[index];
      if (old) old.replaceWith(line);
      else this.#view.append(line);
    });
    while (this.#view.children.length > rows.length) this.#view.lastChild.remove();
    this.#painted.length = rows.length;
    this.#toEnd();
  }

  #toEnd() {
    if (this.#follows) this.#view.scrollTop = this.#view.scrollHeight;
  }
}

function paintRow(cells, cursor) {
  const line = document.createElement("div");
  const padded = cells.slice();
  while (padded.length <= cursor) padded.push([" ", ""]);
  let span = null;
  padded.forEach(([text, look], index) => {
    const wanted = index === cursor ? `${look} cursor`.trim() : look;
    if (!span || span.className !== wanted) {
      span = document.createElement("span");
      span.className = wanted;
      line.append(span);
    }
    span.textContent += text;
  });
  return line;
}
