// The page: what the REST API and the progress sockets tell, put on the screen.

import { Conversation, fromLog, fromProgress, REASONS } from "./conversation.js";
import { clock, day, el, lasted, phone } from "./dom.js";
import { watch } from "./socket.js";
import { Transcript } from "./transcript.js";

const KEY = "trunkline.key";
const MAX_LIVE_CALLS = 30;
const PAGE = 200;
const MAX_PAGES = 25;
const STORED_AFTER = 1000; // milliseconds: the record of a call is written in batches, beside the call

const byId = (id) => document.getElementById(id);
const view = byId("view");

// The API

class ApiError extends Error {
  constructor(status, sentence) {
    super(sentence);
    this.status = status;
  }
}

const get = (path) => ask(path, "GET");

async function ask(path, method) {
  const key = sessionStorage.getItem(KEY);
  const response = await fetch(`api/${path}`, { method, headers: key ? { Authorization: `Bearer ${key}` } : {} });
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new ApiError(response.status, body?.error ?? `The service answered ${response.status}.`);
  return body;
}

async function everyAgent() {
  const agents = [];
  let offset = 0;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const answer = await get(`agents?limit=${PAGE}&offset=${offset}`);
    agents.push(...answer.agents);
    if (answer.next === false) break;
    offset = answer.next;
  }
  return agents;
}

// Views. Each is shown in full by its function, which returns what undoes it.

const state = { agents: [], listeners: [] };

function back() {
  return el("a", { className: "back", href: "#/", textContent: "‹ Agents and listeners" });
}

function show(...nodes) {
  view.replaceChildren(back(), ...nodes.filter((node) => node !== null));
}

function callLine(call) {
  const how = (call.endedAt && REASONS[call.endReason]) || call.status;
  const bad = /^failed/.test(call.status);
  return el(
    "li",
    {},
    el(
      "a",
      { href: `#/call/${encodeURIComponent(call.id)}` },
      el("b", { textContent: phone(call.callerId) }),
      el("span", { className: "called", textContent: `→ ${phone(call.calledId)}` }),
      el("span", { className: "when", textContent: day(call.startedAt) }),
      el("span", { className: "length", textContent: call.endedAt ? lasted(call.startedAt, call.endedAt) : "" }),
      el("span", { className: `how${bad ? " bad" : ""}${call.endedAt ? "" : " live"}`, textContent: how }),
    ),
  );
}

function callList(calls) {
  return calls.length
    ? el("ul", { className: "calls" }, ...calls.map(callLine))
    : el("p", { className: "empty", textContent: "No calls." });
}

async function agentView(id) {
  const [agent, recent] = await Promise.all([
    get(`agents/${encodeURIComponent(id)}`),
    get(`agents/${encodeURIComponent(id)}/calls?limit=10`),
  ]);
  const facts = el("dl", {}, el("dt", { textContent: "Model" }), el("dd", {}, el("code", { textContent: agent.modelName })));
  facts.append(el("dt", { textContent: "Id" }), el("dd", {}, el("code", { textContent: agent.id })));
  if (agent.functions.length) {
    const names = agent.functions.map((one) => one.name).join(", ");
    facts.append(el("dt", { textContent: "Functions" }), el("dd", { textContent: names }));
  }
  show(
    el("h1", { textContent: agent.name || "Agent without a name" }),
    agent.description ? el("p", { textContent: agent.description }) : null,
    facts,
    el("h2", { textContent: "Prompt" }),
    el("pre", { className: "prompt", textContent: agent.prompt || "(none)" }),
    el("details", {}, el("summary", { textContent: "Options" }), el("pre", { textContent: JSON.stringify(agent.options, null, 2) })),
    el("h2", { textContent: "Latest calls" }),
    callList(recent.calls),
  );
}

async function callsView() {
  const period = el("select", { ariaLabel: "Period" });
  for (const [hours, name] of [[1, "the last hour"], [24, "the last day"], [168, "the last week"], [0, "all"]]) {
    period.append(el("option", { value: String(hours), textContent: name, selected: hours === 24 }));
  }
  const list = el("div");
  const refresh = async () => {
    const hours = Number(period.value);
    const since = hours ? `&startDate=${encodeURIComponent(new Date(Date.now() - hours * 3600_000).toISOString())}` : "";
    const calls = [];
    let last = 0;
    for (let page = 0; page < MAX_PAGES && last !== false; page += 1) {
      const answer = await get(`calls?limit=${PAGE}&lastIndex=${last}${since}`);
      calls.push(...answer.calls);
      last = answer.next;
    }
    const more = last === false ? null : el("p", { className: "empty", textContent: `These are the first ${calls.length} of the period; choose a shorter one to see the latest.` });
    list.replaceChildren(...[more, callList(calls.reverse())].filter(Boolean));
  };
  const again = el("button", { type: "button", textContent: "Refresh" });
  period.onchange = again.onclick = () => refresh().catch(failed);
  show(el("h1", { textContent: "Calls" }), el("p", { className: "controls" }, "Calls of ", period, again), list);
  await refresh();
}

async function callView(id) {
  const log = await get(`calls/${encodeURIComponent(id)}/logs`);
  const conversation = new Conversation(id);
  for (const entry of log) conversation.take(fromLog(entry));
  const again = el("button", { type: "button", textContent: "Refresh" });
  again.onclick = () => callView(id).catch(failed);
  show(
    el("h1", { textContent: `Call of ${day(conversation.startedAt)}` }),
    conversation.over ? null : el("p", { className: "controls" }, "This call is under way. ", again),
    new Transcript(conversation).node,
    el("details", {}, el("summary", { textContent: "Log as JSON" }), el("pre", { textContent: JSON.stringify(log, null, 2) })),
  );
}

function listenerView(id) {
  const listener = state.listeners.find((one) => one.listenerId === id);
  const where = listener ? place(listener) : "it";
  const light = el("span", { className: "light", textContent: "connecting" });
  const tabs = el("div", { className: "tabs", role: "tablist" });
  const empty = el("p", { className: "empty", textContent: `Waiting for a call to ${where}. It will be shown here as it happens.` });
  const stage = el("div", {}, empty);
  const earlier = el("div");
  show(el("h1", { textContent: listener ? `${listener.agentName || "Agent"} on ${where}` : "Listener" }), light, tabs, stage, earlier);

  const calls = new Map(); // by id: {transcript, tab, waiting: events held while the log is read}
  let chosen = null;
  let chosenByHand = false;

  const choose = (callId) => {
    chosen = callId;
    for (const [other, call] of calls) call.tab.setAttribute("aria-selected", String(other === callId));
    stage.replaceChildren(calls.get(callId).transcript.node);
  };
  const open = (callId) => {
    const transcript = new Transcript(new Conversation(callId));
    const tab = el("button", { type: "button", role: "tab", textContent: "…" });
    tab.onclick = () => {
      chosenByHand = true;
      choose(callId);
    };
    const call = { transcript, tab, waiting: null };
    calls.set(callId, call);
    tabs.prepend(tab);
    while (calls.size > MAX_LIVE_CALLS) {
      const [oldest, gone] = calls.entries().next().value;
      calls.delete(oldest);
      gone.tab.remove();
    }
    if (!chosenByHand || calls.get(chosen)?.transcript.conversation.over !== false) {
      chosenByHand = false;
      choose(callId);
    }
    return call;
  };
  const label = (call) => {
    const conversation = call.transcript.conversation;
    call.tab.textContent = `${phone(conversation.callerId)}, ${clock(conversation.startedAt)}`;
    call.tab.classList.toggle("live", !conversation.over);
  };
  const take = (call, event) => {
    call.transcript.conversation.take(event);
    call.transcript.update();
    label(call);
  };
  // What happened before we watched is in the call's log; what comes while it is read waits, and is sorted out by time.
  const readLog = async (callId) => {
    const call = calls.get(callId);
    if (!call || call.waiting) return;
    call.waiting = [];
    const log = await get(`calls/${encodeURIComponent(callId)}/logs`).catch(() => []);
    const conversation = new Conversation(callId);
    for (const entry of log) conversation.take(fromLog(entry));
    const until = log.length ? Date.parse(log[log.length - 1].createdAt) : -Infinity;
    call.transcript = new Transcript(conversation);
    if (chosen === callId) stage.replaceChildren(call.transcript.node);
    const { waiting } = call;
    call.waiting = null;
    for (const event of waiting) if (Date.parse(event.at) > until) take(call, event);
    label(call);
  };
  const receive = (event) => {
    let call = calls.get(event.callId);
    const late = !call && event.type !== "call";
    call ??= open(event.callId);
    if (late) readLog(event.callId);
    if (call.waiting) call.waiting.push(event);
    else take(call, event);
    if (event.type === "hangup") setTimeout(showEarlier, STORED_AFTER);
  };
  const showEarlier = async () => {
    if (!listener) return;
    const recent = await get(`agents/${encodeURIComponent(listener.agentId)}/calls?limit=10`).catch(() => null);
    if (recent?.calls.length) earlier.replaceChildren(el("h2", { textContent: "The agent's latest calls" }), callList(recent.calls));
  };

  const undo = watch({
    // The key is in no address: proxies write those down.
    credentials: async () => (sessionStorage.getItem(KEY) ? { ticket: (await ask("tickets", "POST")).ticket } : {}),
    open: (query) => {
      const url = new URL(`progress/${encodeURIComponent(id)}?${new URLSearchParams(query)}`, document.baseURI);
      url.protocol = url.protocol.replace("http", "ws");
      return new WebSocket(url);
    },
    receive: (message) => receive(fromProgress(message)),
    connected: () => {
      light.textContent = "live";
      light.className = "light on";
    },
    lost: (error) => {
      light.textContent = "disconnected; trying again";
      light.className = "light off";
      if (error?.status === 401) failed(error);
    },
  });
  showEarlier();
  return undo;
}

const place = (one) => (one.phoneNumber ? phone(one.phoneNumber) : one.registrationId ? one.registrationName || "a registration" : "browser sessions");

function homeView() {
  if (!state.listeners.length) {
    show(
      el("h1", { textContent: "Nobody listens yet" }),
      el("p", {}, "Create an agent, add a number, and have the agent listen on it: the ", el("a", { href: "api/docs", textContent: "API page" }), " does all three. Its calls can then be watched here."),
    );
  } else {
    show(el("h1", { textContent: "Trunkline" }), el("p", { textContent: "Choose a listener to watch its calls as they happen." }));
  }
}

// The list at the side

function entry(href, title, ...details) {
  const lines = details.filter(Boolean).map((detail) => el("small", { textContent: detail }));
  return el("li", {}, el("a", { href }, el("span", { textContent: title }), ...lines));
}

async function readList() {
  const [agents, listeners] = await Promise.all([everyAgent(), get("listener")]);
  state.agents = agents;
  state.listeners = listeners.items;
  byId("list").replaceChildren(
    el("h2", { textContent: "Listeners" }),
    listeners.items.length
      ? el("ul", {}, ...listeners.items.map((one) => entry(`#/listener/${one.listenerId}`, place(one), one.agentName || "agent without a name")))
      : el("p", { className: "empty" }, "None yet. ", el("a", { href: "api/docs", textContent: "The API" }), " makes them."),
    el("h2", { textContent: "Agents" }),
    agents.length
      ? el("ul", {}, ...agents.map((one) => entry(`#/agent/${one.id}`, one.name || "Agent without a name", one.modelName)))
      : el("p", { className: "empty", textContent: "None." }),
  );
}

// Finding one's way

let leave = null;
let visit = 0;

async function go() {
  leave?.();
  leave = null;
  visit += 1;
  const mine = visit;
  const [, kind, id] = location.hash.match(/^#\/(\w+)\/?(.*)$/) ?? [];
  document.body.classList.toggle("home", !kind);
  for (const link of document.querySelectorAll("aside a, header nav a")) {
    if (link.getAttribute("href") === location.hash) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  window.scrollTo(0, 0);
  try {
    const name = decodeURIComponent(id ?? "");
    const undo = await ({ agent: agentView, calls: callsView, call: callView, listener: listenerView }[kind] ?? homeView)(name);
    if (typeof undo !== "function") return;
    if (mine === visit) leave = undo;
    else undo();
  } catch (error) {
    if (mine === visit) failed(error);
  }
}

function failed(error) {
  if (error.status === 401) signIn(sessionStorage.getItem(KEY) ? error.message : "");
  else show(el("h1", { textContent: "That did not work" }), el("p", { className: "error", textContent: error.message }));
}

function signIn(complaint) {
  leave?.();
  leave = null;
  sessionStorage.removeItem(KEY);
  byId("sign-in-error").textContent = complaint;
  byId("sign-in").hidden = false;
  byId("list").hidden = view.hidden = true;
  byId("forget").hidden = true;
  byId("key").focus();
}

async function begin() {
  try {
    await readList(); // without a key first: where there is one user for all, none is asked for
  } catch (error) {
    if (error.status === 401) {
      signIn(sessionStorage.getItem(KEY) ? error.message : "");
      return;
    }
    view.hidden = false;
    failed(error);
    return;
  }
  byId("sign-in").hidden = true;
  byId("list").hidden = view.hidden = false;
  byId("forget").hidden = !sessionStorage.getItem(KEY);
  const wide = matchMedia("(min-width: 50rem)").matches;
  if (!location.hash.slice(2) && state.listeners.length && wide) location.replace(`#/listener/${state.listeners[0].listenerId}`);
  else go();
}

async function readService() {
  if (document.hidden) return;
  const label = byId("service");
  try {
    const ready = await (await fetch("readyz")).json();
    label.textContent = `${ready.status} · ${ready.calls} call${ready.calls === 1 ? "" : "s"}`;
    label.className = `service ${ready.status}`;
  } catch {
    label.textContent = "not reachable";
    label.className = "service off";
  }
}

byId("sign-in").onsubmit = (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, byId("key").value.trim());
  byId("key").value = "";
  begin();
};
byId("forget").onclick = () => signIn("");
window.onhashchange = () => {
  if (byId("sign-in").hidden) go();
};
document.onvisibilitychange = readService;
setInterval(readService, 5000);
readService();
begin();
