// What happens in one call, as a list of items to show. Pure: events come in, items come out; no page is touched.
//
// An event is {type, data, isFinal, at}: a line of a call's log, or a live event of a listener's progress socket.

export const REASONS = {
  agent: "the agent hung up",
  caller: "the caller hung up",
  idle: "the caller said nothing",
  max_duration: "the longest duration was reached",
  transferred: "the caller was put through",
  failed: "it failed",
  no_media: "no audio connection came",
  media_lost: "the audio connection was lost",
  shutdown: "the service stopped",
  api: "it was hung up by the API",
  busy: "who was rung was busy",
  no_answer: "nobody answered",
  declined: "who was rung declined",
  cancelled: "it was hung up before anybody answered",
  voicemail: "a machine answered",
  unavailable: "who was rung could not be reached",
  callee: "who was rung hung up",
  caller_gone: "the caller hung up while it rang",
  abandoned: "the service stopped without a word",
};

export const PARTS = [
  ["transcript", "transcript"],
  ["decision", "end of turn"],
  ["first_token", "first token"],
  ["first_audio", "first audio"],
  ["heard", "at the ear"],
];

const ENVELOPE = new Set(["isFinal", "callId", "timestamp"]);

export function fromProgress(message) {
  const type = Object.keys(message).find((key) => !ENVELOPE.has(key)) ?? "unknown";
  return { type, data: message[type], isFinal: message.isFinal, at: message.timestamp, callId: message.callId };
}

export function fromLog(entry) {
  return { type: entry.type, data: entry.data, isFinal: entry.isFinal, at: entry.createdAt, callId: entry.callId };
}

export class Conversation {
  constructor(callId) {
    this.callId = callId;
    this.callerId = null;
    this.calledId = null;
    this.startedAt = null;
    this.endedAt = null;
    this.reason = null;
    this.items = [];
    this.latencies = [];
    this.bargeIns = 0;
    this.underruns = 0;
    this.lastAt = null;
    this._saying = null; // the bubble of what is being said, until it is known what was heard of it
    this._userSpokeSince = false;
    this._latency = null;
    this._said = null;
  }

  get over() {
    return this.endedAt !== null;
  }

  get medianLatency() {
    const sorted = [...this.latencies].sort((a, b) => a - b);
    const half = Math.floor(sorted.length / 2);
    if (!sorted.length) return null;
    return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  }

  take(event) {
    const { type, data, at } = event;
    this.lastAt = at;
    this.startedAt ??= at;
    switch (type) {
      case "call":
        this.callerId = data?.callerId ?? null;
        this.calledId = data?.calledId ?? null;
        break;
      case "answer":
        this._note("Answered", at);
        break;
      case "user":
        this._add({ kind: "user", text: String(data), at });
        this._userSpokeSince = true;
        break;
      case "agent":
        if (event.isFinal) this._heard(String(data), at);
        else this._saysNow(String(data), at);
        break;
      case "function_calls":
        for (const call of data ?? []) this._add({ kind: "tool", name: call.name, input: call.arguments, at });
        break;
      case "function_results":
        for (const result of data ?? []) this._toolResult(result, at);
        break;
      case "status":
        this._status(data ?? {}, at);
        break;
      case "error":
        this._add({ kind: "error", text: String(data), at });
        break;
      case "hangup":
        this._dropUnheard();
        this.endedAt = at;
        this.reason = data?.reason ?? null;
        this._note(`Call over: ${REASONS[this.reason] ?? this.reason ?? "for a reason unknown"}`, at);
        break;
      default:
        this._note(`${type}: ${JSON.stringify(data)}`, at);
    }
  }

  // The agent

  _saysNow(phrase, at) {
    if (this._saying && this._userSpokeSince) this._dropUnheard();
    if (this._saying) {
      this._saying.planned += ` ${phrase}`;
      this._changed(this._saying);
    } else {
      this._saying = this._add({ kind: "agent", text: "", planned: phrase, pending: true, at });
      this._userSpokeSince = false;
      this._attachLatency(this._saying);
    }
  }

  _heard(text, at) {
    const bubble = this._saying ?? this._add({ kind: "agent", planned: "", at });
    bubble.text = text;
    bubble.pending = false;
    this._saying = null;
    this._said = bubble;
    this._attachLatency(bubble);
    this._changed(bubble);
  }

  _dropUnheard() {
    if (!this._saying) return;
    this._saying.pending = false;
    this._saying.interrupted = true;
    this._saying.unheard = this._saying.planned;
    this._changed(this._saying);
    this._saying = null;
  }

  _attachLatency(bubble) {
    if (!this._latency) return;
    bubble.latency = this._latency;
    this._latency = null;
  }

  // Tools

  _toolResult(result, at) {
    const open = this.items.find((item) => item.kind === "tool" && item.name === result.name && !("result" in item));
    const item = open ?? this._add({ kind: "tool", name: result.name, input: result.input, at });
    item.result = result.error ?? result.result;
    this._changed(item);
  }

  // Status

  _status(data, at) {
    if (data.latency) {
      if (typeof data.latency.heard === "number") this.latencies.push(data.latency.heard);
      this._latency = data.latency;
      if (this._saying) {
        this._attachLatency(this._saying);
        this._changed(this._saying);
      }
    } else if (data.interrupted && this._said) {
      const heard = words(this._said.text).length;
      this._said.interrupted = true;
      this._said.seconds = data.interrupted.seconds;
      this._said.unheard = words(this._said.planned).slice(heard).join(" ");
      this._changed(this._said);
    } else if (data.bargeIn) {
      const after = data.bargeIn.pausedAfter; // null where only the model heard the caller begin
      const silent = after === null ? "" : ` after ${Math.round(after * 1000)} ms`;
      this.bargeIns += data.bargeIn.confirmed ? 1 : 0;
      this._note(
        data.bargeIn.confirmed
          ? `Barge-in: the agent was told to be silent${silent}`
          : `The caller made a sound (agent paused${silent}): no interruption, the agent went on`,
        at,
      );
    } else if (data.underrun) {
      this.underruns += 1;
      this._note(`A gap of ${Math.round(data.underrun.seconds * 1000)} ms in the agent's speech (${data.underrun.cause})`, at);
    } else if (data.missing) {
      this._note(`Watchdog: no ${data.missing} came`, at);
    } else if (data.fallback) {
      const who = { agent: data.fallback.agentId, model: data.fallback.modelName, number: data.fallback.number };
      this._note(`Somebody else goes on: the ${data.fallback.kind} ${who[data.fallback.kind] ?? ""}`, at);
    } else if (data.dial) {
      this._note(`${data.dial.number}: ${data.dial.outcome}`, at);
    } else if (!data.interrupted) {
      this._note(JSON.stringify(data), at);
    }
  }

  // Items

  _note(text, at) {
    return this._add({ kind: "note", text, at });
  }

  _add(item) {
    item.id = this.items.length;
    item.revision = 0;
    this.items.push(item);
    return item;
  }

  _changed(item) {
    item.revision += 1;
  }
}

function words(text) {
  return (text ?? "").split(/\s+/).filter(Boolean);
}
