/**
 * Play's page: one HTML document, its style and its script, each served as a file of its own so that the policy can
 * forbid everything inline. What arrived was written by strangers: it reaches the page as text nodes only.
 */
export const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Posthaste Play</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/play.css">
</head>
<body>
<header>
  <h1>Posthaste <span>Play</span></h1>
  <p id="live" role="status"></p>
</header>
<main id="home" hidden>
  <section class="card">
    <h2>A receiver for webhooks</h2>
    <p>Point an endpoint at its URL, see what arrives and whether the signature holds, and make it answer as badly as
    your customers do.</p>
    <button id="create" class="primary">New receiver</button>
    <ul id="mine"></ul>
  </section>
</main>
<main id="inbox" hidden>
  <section class="bar">
    <label class="url">Receive URL <input id="url" readonly> <button id="copy">Copy</button></label>
    <form id="settings">
      <label>Status <input id="status" type="number" min="200" max="599" required></label>
      <label>Delay, ms <input id="delay" type="number" min="0" max="120000" step="100" required></label>
      <label>Fail first <input id="fail" type="number" min="0" max="1000" required></label>
      <label>Secret <input id="secret" placeholder="whsec_..." autocomplete="off" spellcheck="false"></label>
      <button class="primary">Apply</button>
      <button type="button" id="clear">Clear list</button>
    </form>
    <p id="problem" role="alert"></p>
  </section>
  <section class="split">
    <ol id="list" aria-label="Requests"></ol>
    <article id="detail"></article>
  </section>
</main>
<script src="/play.js" defer></script>
</body>
</html>
`;

export const STYLE = `
:root { color-scheme: light dark; --ground: #f6f7f9; --card: #fff; --ink: #16202c; --soft: #5b6775; --line: #dfe4ea;
  --accent: #2457d6; --good: #147a43; --bad: #b42318; --pick: #e8eefc; }
@media (prefers-color-scheme: dark) { :root { --ground: #10151c; --card: #18202a; --ink: #e8edf3; --soft: #9aa7b5;
  --line: #2b3643; --accent: #7ea4ff; --good: #5fd39a; --bad: #ff8f85; --pick: #22304a; } }
* { box-sizing: border-box; }
body { margin: 0; height: 100vh; display: flex; flex-direction: column; background: var(--ground); color: var(--ink);
  font: 15px/1.45 system-ui, sans-serif; }
[hidden] { display: none !important; }
header { display: flex; align-items: baseline; gap: 16px; padding: 12px 20px; }
h1 { font-size: 18px; margin: 0; } h1 span { color: var(--accent); } h2 { font-size: 16px; margin: 0 0 8px; }
h3 { font-size: 12px; letter-spacing: .06em; text-transform: uppercase; color: var(--soft); margin: 20px 0 6px; }
#live { margin: 0; color: var(--soft); font-size: 13px; }
.card, .bar, #list, #detail { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.card { max-width: 560px; margin: 8vh auto; padding: 24px; }
#inbox { flex: 1; min-height: 0; display: flex; flex-direction: column; gap: 12px; padding: 0 20px 20px; }
.bar { padding: 12px 14px; display: grid; gap: 10px; } .url { display: flex; align-items: center; gap: 8px; }
.url input { flex: 1; } form { display: flex; flex-wrap: wrap; gap: 10px; align-items: center; }
label { color: var(--soft); font-size: 13px; } #problem { margin: 0; color: var(--bad); } #problem:empty { display: none; }
input { font: 13px ui-monospace, monospace; color: var(--ink); background: var(--ground); border: 1px solid var(--line);
  border-radius: 6px; padding: 6px 8px; } input[type=number] { width: 88px; } #secret { width: 260px; }
button { font: inherit; font-size: 13px; color: var(--ink); background: transparent; border: 1px solid var(--line);
  border-radius: 6px; padding: 6px 12px; cursor: pointer; } .primary { background: var(--accent); color: #fff;
  border-color: var(--accent); } @media (prefers-color-scheme: dark) { .primary { color: #10151c; } }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
.split { flex: 1; min-height: 0; display: grid; grid-template-columns: minmax(240px, 340px) 1fr; gap: 12px; }
#list { margin: 0; padding: 6px; list-style: none; overflow: auto; } #detail { padding: 6px 20px 20px; overflow: auto; }
#list button { width: 100%; border: 0; text-align: left; padding: 8px 10px; display: grid; gap: 2px; }
#list button[aria-current=true] { background: var(--pick); } #list small { color: var(--soft); }
.good { color: var(--good); } .bad { color: var(--bad); } .verdict { font-weight: 600; }
table { border-collapse: collapse; width: 100%; font: 13px/1.5 ui-monospace, monospace; }
th { text-align: left; font-weight: 500; color: var(--soft); white-space: nowrap; padding-right: 16px; vertical-align: top; }
td { word-break: break-all; } pre { font: 13px/1.5 ui-monospace, monospace; background: var(--ground); border-radius: 6px;
  padding: 12px; overflow: auto; white-space: pre-wrap; word-break: break-word; margin: 0; }
.empty { color: var(--soft); padding: 12px; } #mine { padding-left: 18px; } a { color: var(--accent); }
@media (max-width: 760px) { body { height: auto; } .split { grid-template-columns: 1fr; } #list { max-height: 40vh; } }
`;

export const SCRIPT = `
'use strict';
const at = (id) => document.getElementById(id);
const make = (tag, text, className) => {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
};
const asked = async (path, options) => {
  const response = await fetch(path, options);
  if (response.status === 204) return undefined;
  const body = await response.json();
  if (!response.ok) throw new Error(body.error);
  return body;
};
const token = location.pathname.startsWith('/r/') ? location.pathname.slice(3) : undefined;
const api = '/api/receivers/' + token;

function showHome() {
  at('home').hidden = false;
  const known = JSON.parse(localStorage.getItem('receivers') || '[]');
  for (const name of known) {
    const link = make('a', name);
    link.href = '/r/' + encodeURIComponent(name);
    const item = make('li');
    item.append(link);
    at('mine').append(item);
  }
  at('create').addEventListener('click', async () => {
    const made = await asked('/api/receivers', { method: 'POST' });
    localStorage.setItem('receivers', JSON.stringify([made.token, ...known].slice(0, 20)));
    location.href = '/r/' + made.token;
  });
}

let requests = [];
let picked;

function showSettings(receiver) {
  at('url').value = receiver.receive_url;
  at('status').value = receiver.status;
  at('delay').value = receiver.delay_ms;
  at('fail').value = receiver.fail_first;
  at('secret').value = '';
  at('secret').placeholder = receiver.has_secret ? 'set; type to replace' : 'whsec_...';
}

function showList() {
  const rows = [...requests].reverse().map((request) => {
    const row = make('button');
    const line = make('span', request.method + ' → ' + request.answered_status + ' ');
    line.append(make('span', request.signature.valid ? 'signed' : 'not verified', request.signature.valid ? 'good' : 'bad'));
    const id = request.headers.find(([name]) => name === 'webhook-id');
    row.append(line, make('small', (id ? id[1] + ' · ' : '') + new Date(request.received_at).toLocaleTimeString()));
    row.setAttribute('aria-current', String(request === picked));
    row.addEventListener('click', () => pick(request));
    const item = make('li');
    item.append(row);
    return item;
  });
  at('list').replaceChildren(...(rows.length > 0 ? rows : [make('li', 'Nothing has arrived yet.', 'empty')]));
}

function pretty(request) {
  if (request.body === null) return request.body_base64;
  try {
    return JSON.stringify(JSON.parse(request.body), null, 2);
  } catch {
    return request.body;
  }
}

function pick(request) {
  picked = request;
  showList();
  const { signature } = request;
  const verdict = make('p', signature.valid ? 'Signature valid' : signature.reason, 'verdict ' + (signature.valid ? 'good' : 'bad'));
  const table = make('table');
  for (const [name, value] of request.headers) {
    const row = make('tr');
    row.append(make('th', name), make('td', value));
    table.append(row);
  }
  const kept = request.body_truncated ? ', the first part of it' : '';
  const title = request.body === null ? 'Body, base64' : 'Body';
  at('detail').replaceChildren(
    make('h3', 'Request ' + request.seq), make('div', request.method + ' ' + request.path),
    make('small', request.received_at + ', answered ' + request.answered_status),
    make('h3', 'Signature'), verdict, make('h3', 'Headers'), table,
    make('h3', title + ' (' + request.size + ' bytes' + kept + ')'), make('pre', pretty(request)),
  );
}

async function follow() {
  for (;;) {
    try {
      const last = requests.length > 0 ? requests[requests.length - 1].seq : 0;
      const { data } = await asked(api + '/requests?wait_ms=25000&after=' + last);
      at('live').textContent = 'listening';
      if (data.length === 0) continue;
      const followsNewest = picked === undefined || picked === requests[requests.length - 1];
      requests = requests.concat(data).slice(-1000);
      if (followsNewest) pick(requests[requests.length - 1]);
      else showList();
    } catch {
      at('live').textContent = 'play does not answer, trying again';
      await new Promise((resolve) => setTimeout(resolve, 2000));
    }
  }
}

async function showInbox() {
  at('inbox').hidden = false;
  showList();
  at('detail').replaceChildren(make('p', 'Pick a request on the left.', 'empty'));
  at('copy').addEventListener('click', () => navigator.clipboard.writeText(at('url').value));
  at('clear').addEventListener('click', async () => {
    await asked(api + '/requests', { method: 'DELETE' });
    location.reload();
  });
  at('settings').addEventListener('submit', async (event) => {
    event.preventDefault();
    const change = { status: Number(at('status').value), delay_ms: Number(at('delay').value), fail_first: Number(at('fail').value) };
    if (at('secret').value !== '') change.secret = at('secret').value.trim();
    try {
      showSettings(await asked(api, { method: 'PUT', body: JSON.stringify(change) }));
      at('problem').textContent = '';
    } catch (error) {
      at('problem').textContent = error.message;
    }
  });
  showSettings(await asked(api));
  await follow();
}

if (token === undefined) showHome();
else showInbox();
`;
