// A conversation on the screen: nodes follow the items of a conversation, and only those that changed are made anew.

import { PARTS } from "./conversation.js";
import { clock, el, lasted, phone, seconds } from "./dom.js";

export class Transcript {
  constructor(conversation) {
    this.conversation = conversation;
    this.summary = el("p", { className: "summary" });
    this.list = el("ol", { className: "talk", ariaLive: "polite" });
    this.node = el("div", {}, this.summary, this.list);
    this.shown = [];
    this.update();
  }

  update() {
    const { items } = this.conversation;
    const atEnd = window.innerHeight + window.scrollY >= document.body.scrollHeight - 80;
    let changed = false;
    items.forEach((item, index) => {
      if (this.shown[index] === item.revision) return;
      const node = bubble(item);
      if (index < this.list.children.length) this.list.children[index].replaceWith(node);
      else this.list.append(node);
      this.shown[index] = item.revision;
      changed = true;
    });
    this.summary.textContent = summary(this.conversation);
    if (changed && atEnd && this.node.isConnected && !this.conversation.over) {
      window.scrollTo(0, document.body.scrollHeight);
    }
  }
}

function summary(conversation) {
  const parts = [`${phone(conversation.callerId)} → ${phone(conversation.calledId)}`];
  const end = conversation.endedAt ?? conversation.lastAt;
  if (conversation.startedAt) parts.push(`${clock(conversation.startedAt)}, ${lasted(conversation.startedAt, end)}`);
  const median = conversation.medianLatency;
  if (median !== null) {
    const turns = conversation.latencies.length;
    parts.push(`answers heard after ${seconds(median)} (median of ${turns} turn${turns === 1 ? "" : "s"})`);
  }
  if (conversation.bargeIns) parts.push(`${conversation.bargeIns} barge-in${conversation.bargeIns === 1 ? "" : "s"}`);
  if (conversation.underruns) parts.push(`${conversation.underruns} gaps`);
  return parts.join(" · ");
}

function bubble(item) {
  const time = el("time", { textContent: clock(item.at), dateTime: item.at ?? "" });
  switch (item.kind) {
    case "user":
      return el("li", { className: "user" }, el("span", { className: "who", textContent: "Caller" }, time), el("p", { textContent: item.text }));
    case "agent":
      return agentBubble(item, time);
    case "tool":
      return toolLine(item, time);
    default:
      return el("li", { className: item.kind }, el("span", { textContent: item.text }), time);
  }
}

function agentBubble(item, time) {
  const who = el("span", { className: "who", textContent: "Agent" }, time);
  const text = el("p");
  if (item.pending) text.append(el("span", { className: "planned", textContent: item.planned }));
  else text.append(item.text);
  if (item.interrupted) {
    who.append(el("span", { className: "mark", textContent: item.seconds === undefined ? "not heard" : `interrupted after ${item.seconds.toFixed(1)} s` }));
    if (item.unheard) text.append(" ", el("s", { textContent: item.unheard, title: "Not heard by the caller" }));
  } else if (item.pending) {
    who.append(el("span", { className: "mark", textContent: "speaking" }));
  }
  return el("li", { className: "agent" }, who, text, item.latency ? latencyBar(item.latency) : null);
}

function latencyBar(latency) {
  const bar = el("div", { className: "bar" });
  const legend = el("ul", { className: "legend" });
  let before = 0;
  for (const [part, name] of PARTS) {
    const at = latency[part];
    if (typeof at !== "number") continue;
    const share = el("i", { className: `part ${part}`, title: `${name}: ${seconds(at)}` });
    share.style.flexGrow = String(Math.max(at - before, 0) * 1000); // under 1 in all, they would not fill the bar
    bar.append(share);
    legend.append(el("li", { className: part, textContent: `${name} ${seconds(at)}` }));
    before = Math.max(before, at);
  }
  const caption = el("summary", { textContent: `Heard ${seconds(latency.heard ?? before)} after the caller's last word` });
  return el("details", { className: "latency" }, caption, bar, legend);
}

function toolLine(item, time) {
  const input = Object.entries(item.input ?? {}).map(([name, value]) => `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`);
  const code = el("code", { textContent: `${item.name}(${input.join(", ")})` });
  const line = el("li", { className: "tool" }, el("span", {}, code), time);
  if ("result" in item) line.append(el("pre", { textContent: typeof item.result === "string" ? item.result : JSON.stringify(item.result, null, 2) }));
  return line;
}
