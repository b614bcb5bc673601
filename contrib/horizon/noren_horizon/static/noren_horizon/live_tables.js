// The tables of a project that change by themselves: instances, volumes, images, networks.
//
// An event of Noren says what is different, and no more: the row is fetched from the dashboard, with its rights and in
// its form. A line above the table says whether it is up to date. Without Noren, or without a login, nothing happens.
// Top to bottom: the tables, the way to Noren, the line. It knows no form of a notification but its event and its key.

(function () {
  'use strict';

  // The events that are about rows of a table. Of subnets those of networks show some.
  const EVENTS = {
    instances: /^(compute\.)?instance\./,
    volumes: /^volume\./,
    images: /^image\./,
    networks: /^(network|subnet)\./,
  };
  // Several events about one row, or many rows, come together.
  const GATHER = 250;
  // A whole page costs the dashboard much more than a row: not more often than this, and instead of so many rows.
  const WHOLE = 3000;
  const MANY = 5;
  const QUIET = 4000;
  const LONGEST_PAUSE = 30000;

  const text = (words) => (window.gettext ? window.gettext(words) : words);
  const sleep = (time) => new Promise((done) => setTimeout(done, time));
  const headers = { 'X-Live-Tables': '1' };

  // --- The tables --------------------------------------------------------------------------------

  /** A table that Django renders: rows are fetched one by one where the dashboard gives them so, else the page. */
  class Table {
    constructor(name) { this.name = name; }

    get element() { return document.getElementById(this.name); }

    get place() { return this.element.closest('.table_wrapper') || this.element; }

    row(key) { return document.getElementById(`${this.name}__row__${key}`); }

    /** True if the change of a row that is not on this page may concern it: those of other pages do not. */
    wants(event) { return /create|import|delete/.test(event) || !this.element.querySelector('tfoot a, .pagination'); }

    /** Fetches one row; false if the whole page is needed. */
    async fetchRow(key) {
      const url = this.row(key)?.dataset.updateUrl;
      if (!url) return false;
      const answer = await fetch(url, { headers: { ...headers, 'X-Requested-With': 'XMLHttpRequest' } });
      if (answer.status === 401 || answer.redirected) throw new Ended();
      const old = this.row(key);
      if (!old) return true;
      if (answer.status === 404) {
        if (old.parentElement.rows.length === 1) return false;
        old.remove();
        this.settle([]);
      } else if (answer.ok) {
        const made = document.createElement('tbody');
        made.innerHTML = await answer.text();
        if (!made.firstElementChild) return false;
        this.settle([await this.replace(old, made.firstElementChild)].filter((each) => each !== old));
      } else return false;
      return true;
    }

    async fetchAll() {
      const answer = await fetch(location.href, { headers });
      if (answer.status === 401 || /\/auth\/login\/?$/.test(new URL(answer.url).pathname)) throw new Ended();
      if (!answer.ok) throw new Error(`the dashboard answered ${answer.status}`);
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      const [now, next] = [this.element.tBodies[0], page.getElementById(this.name)?.tBodies[0]];
      if (!now || !next) return;
      // The service behind the dashboard did not answer: nothing is no news then.
      if (page.querySelector('.messages .alert-danger') && next.querySelector('tr.empty')) throw new Error('no list');
      if (!now.querySelector('tr.empty') !== !next.querySelector('tr.empty')) return this.replaceTable(next.closest('table'));
      const fresh = [];
      let before = null;
      for (const made of [...next.rows]) {
        const old = made.id && this.row(made.id.slice(`${this.name}__row__`.length));
        const placed = old ? await this.replace(old, made) : document.importNode(made, true);
        if (!old) placed.classList.add('live-tables-changed');
        if (placed !== old) fresh.push(placed);
        const after = before ? before.nextElementSibling : now.firstElementChild;
        if (placed !== after) now.insertBefore(placed, after);
        before = placed;
      }
      while (now.lastElementChild !== before) now.lastElementChild.remove();
      const counts = (root) => root.querySelectorAll('.table_count');
      counts(page).forEach((each, at) => { if (counts(document)[at]) counts(document)[at].innerHTML = each.innerHTML; });
      this.settle(fresh);
    }

    /** An empty table has no boxes to tick and other buttons: of it nothing is kept. */
    replaceTable(made) {
      const placed = document.importNode(made, true);
      this.element.replaceWith(placed);
      this.settle([placed]);
      const { datatables } = window.horizon;
      const parent = window.jQuery(placed.parentElement);
      for (const name of ['add_table_checkboxes', 'set_table_sorting', 'set_table_query_filter', 'set_table_fixed_filter']) {
        datatables[name]?.(parent);
      }
    }

    /** Puts a row in the place of another. What the visitor does there is not disturbed. Gives the one that is there. */
    async replace(old, made) {
      while (old.isConnected && old.querySelector('.btn-group.open, .dropdown.open')) await sleep(QUIET / 10);
      // Their forms are on their way: the page is about to be another one.
      if (!old.isConnected || old.closest('form[data-submitted]')) return old;
      const placed = document.importNode(made, true);
      // Each rendering has other names for its boxes.
      const comparable = (row) => row.innerHTML.replace(/\b(id|for)="[0-9a-f-]{36}"|\s+/g, ' ');
      if (comparable(placed) === comparable(old) && placed.className === old.className) return old;
      const box = old.querySelector('.table-row-multi-select');
      const own = placed.querySelector('.table-row-multi-select');
      if (box && own) own.checked = box.checked;
      const focus = old.contains(document.activeElement) ? document.activeElement.id : null;
      placed.classList.add('live-tables-changed');
      old.replaceWith(placed);
      if (focus !== null) {
        // The same button, or where there is none any more the first thing of the row.
        (document.getElementById(focus) || placed.querySelector('a, button, input'))?.focus();
      }
      return placed;
    }

    /** What the dashboard's own scripts do after they have put these into a table. */
    settle(parts) {
      const { jQuery, angular, horizon } = window;
      try {
        const injector = angular.element(document.body).injector();
        const scope = angular.element(this.element).scope() || injector.get('$rootScope');
        for (const part of parts) injector.get('$compile')(part)(scope);
        scope.$applyAsync();
      } catch (error) { /* no Angular on this page */ }
      jQuery(this.element).trigger('update');
      horizon?.datatables?.qs?.[this.name]?.cache?.();
      horizon?.datatables?.validate_button?.();
    }
  }

  /** A table that Angular renders, and that lists its things anew as after an action of the visitor. */
  class AngularTable {
    constructor(name, element) {
      Object.assign(this, { name, element });
    }

    get place() { return this.element; }

    wants() { return true; }

    row() { return null; }

    async fetchRow() { return false; }

    async fetchAll() {
      const table = window.angular.element(this.element);
      table.controller('hzResourceTable').actionResultHandler(undefined);
      table.injector().get('$rootScope').$applyAsync();
    }
  }

  class Ended extends Error {}

  /** The tables on this page. Those of administrators show every project, of which one channel does not tell. */
  async function tables() {
    const { pathname } = location;
    if (!pathname.startsWith(`${window.WEBROOT || '/'}project/`)) return [];
    // Angular makes its tables after the page is there.
    const late = () => /project\/images\/?$/.test(pathname) && !document.querySelector('#images, hz-resource-table');
    for (let tries = 0; late() && tries < 40; tries += 1) await sleep(QUIET / 16);
    const found = Object.keys(EVENTS).filter((name) => document.querySelector(`table#${name}`)).map((name) => new Table(name));
    const images = document.querySelector('hz-resource-table[resource-type-name="OS::Glance::Image"]');
    if (images) found.push(new AngularTable('images', images));
    return found;
  }

  /** Fetches what events name: gathered, one after the other, and not while nobody looks. */
  class Refresher {
    #table; #ended; #rows = new Set(); #whole = false; #busy = false; #last = 0; #failures = 0;

    constructor(table, ended) {
      this.#table = table;
      this.#ended = ended;
      document.addEventListener('visibilitychange', () => this.#run());
    }

    row(key, event) {
      if (key && this.#table.row(key)) this.#rows.add(key);
      else if (this.#table.wants(event)) this.#whole = true;
      this.#run();
    }

    all() {
      this.#whole = true;
      this.#run();
    }

    async #run() {
      if (this.#busy || document.hidden || !(this.#whole || this.#rows.size)) return;
      this.#busy = true;
      try {
        await sleep(GATHER);
        if (this.#whole || this.#rows.size > MANY) {
          await sleep(this.#last + WHOLE - Date.now());
          this.#whole = false;
          this.#rows.clear();
          this.#last = Date.now();
          await this.#table.fetchAll();
          this.#failures = 0;
        } else {
          for (const key of [...this.#rows]) {
            this.#rows.delete(key);
            if (!(await this.#table.fetchRow(key))) this.#whole = true;
          }
        }
      } catch (error) {
        if (error instanceof Ended) return this.#ended();
        // The dashboard did not answer: once more, later.
        await sleep(Math.min(LONGEST_PAUSE, QUIET * 2 ** this.#failures++));
        this.#whole = true;
      } finally {
        this.#busy = false;
      }
      this.#run();
    }
  }

  // --- The way to Noren --------------------------------------------------------------------------

  function load(url) {
    return new Promise((done, failed) => {
      const script = document.createElement('script');
      script.src = url;
      script.onload = done;
      script.onerror = () => failed(new Error(`${url} cannot be loaded`));
      document.head.append(script);
    });
  }

  // `hear(channel, message)` gets what is news since the page was made, `lost(channel)` that something was missed.

  async function byLibrary({ events, transports }, channels, since, { hear, lost, state }) {
    await load(`${events}/-/noren.js`);
    const hub = window.noren.connect(events, { transports });
    hub.on('state', (name, { status, transport }) => {
      if (name === 'open') state('live', transport);
      else if (name === 'closed' && status) state(status === 403 || status === 404 ? 'barred' : 'ended');
      else state(name === 'retrying' ? 'offline' : 'connecting');
    });
    hub.on('error', () => state('barred'));
    for (const channel of channels) {
      // What happened between the making of the page and now is in the history.
      hub.subscribe(channel, {
        '*': (_, message) => message.time >= since && hear(channel, message),
        reset: () => lost(channel),
      }, { lastEventId: 'earliest' });
    }
  }

  async function bySockjs({ events, sockjs }, channels, since, { hear, lost, state }) {
    await load(sockjs);
    channels.forEach((channel) => {
      let failures = 0;
      const connect = () => {
        const socket = new window.SockJS(`${events}/sockjs/${channel}`);
        socket.onmessage = ({ data }) => {
          const message = JSON.parse(data);
          if (message.type === 'open') {
            state('live', 'sockjs');
            // It has no cursor of what was before.
            lost(channel);
            failures = 0;
          } else if (message.type === 'reset') lost(channel);
          else if (!message.type) hear(channel, message);
        };
        socket.onclose = ({ code }) => {
          if (code === 4401) return state('ended');
          if (code === 4403) return state('barred');
          state('offline');
          setTimeout(connect, Math.random() * Math.min(LONGEST_PAUSE, 2000 * 2 ** failures++));
        };
      };
      connect();
    });
  }

  // --- The line ----------------------------------------------------------------------------------

  /** Says whether the table is up to date, to eyes and to screen readers, which hear each change of it once. */
  class Line {
    #element = document.createElement('p'); #timer = 0; #state = '';

    constructor(table) {
      this.#element.setAttribute('role', 'status');
      this.#element.setAttribute('aria-live', 'polite');
      this.#element.hidden = true;
      table.place.before(this.#element);
    }

    state(name, transport = '') {
      this.#element.dataset.transport = transport;
      clearTimeout(this.#timer);
      // A connection that is back in a moment is no news.
      if (name === 'connecting') this.#timer = setTimeout(() => this.#show('offline'), QUIET);
      else if (name === 'offline' && this.#state === 'live') this.#timer = setTimeout(() => this.#show(name), QUIET / 4);
      else this.#show(name);
    }

    #show(name) {
      if (name === this.#state) return;
      this.#state = name;
      const link = (words, address) => {
        const made = document.createElement('a');
        made.href = address;
        made.textContent = words;
        return made;
      };
      const [state, ...parts] = {
        live: ['live', text('Live: changes appear by themselves.')],
        offline: ['offline', text('Offline: this table may be out of date. Trying to connect again.'),
          link(text('Reload'), location.href)],
        barred: ['offline', text('This table does not change by itself: the dashboard does not permit it here.'),
          link(text('Reload'), location.href)],
        ended: ['offline', text('You are logged out: this table is out of date.'), link(text('Log in'), location.href)],
      }[name];
      this.#element.className = `live-tables ${state === 'live' ? '' : 'alert alert-warning'}`;
      this.#element.dataset.state = state;
      this.#element.hidden = false;
      this.#element.replaceChildren(...parts);
    }
  }

  // --- All of it ---------------------------------------------------------------------------------

  async function start() {
    const here = await tables();
    if (!here.length) return;
    const asked = performance.now();
    const answer = await fetch(`${window.WEBROOT || '/'}api/noren/session/`, { headers });
    if (!answer.ok) return;
    const settings = await answer.json();
    // By the clock of the server, which this machine's may not agree with; in whole seconds.
    const since = Date.parse(answer.headers.get('Date')) - asked - 2000;
    const watched = here.filter(({ name }) => settings.channels[name]);
    if (!watched.length) return;
    const parts = watched.map((table) => {
      const line = new Line(table);
      const refresher = new Refresher(table, () => line.state('ended'));
      return { table, line, channel: settings.channels[table.name], refresher };
    });
    const of = (channel) => parts.filter((part) => part.channel === channel);
    const told = {
      hear: (channel, { event, key }) => of(channel).forEach(({ table, refresher }) => {
        if (EVENTS[table.name].test(event || '')) refresher.row(key, event);
      }),
      lost: (channel) => of(channel).forEach(({ refresher }) => refresher.all()),
      state: (...what) => parts.forEach(({ line }) => line.state(...what)),
    };
    const channels = [...new Set(parts.map(({ channel }) => channel))];
    told.state('connecting');
    const way = settings.transports[0] === 'sockjs' && settings.sockjs ? bySockjs : byLibrary;
    // A library that cannot be loaded: there is no Noren in front of this dashboard.
    await way(settings, channels, since, told).catch(() => told.state('offline'));
  }

  if (document.readyState === 'complete') start(); else window.addEventListener('load', start);
}());
