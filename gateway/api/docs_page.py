"""The page at ``/api/docs``: reads ``openapi.json`` and shows it, with nothing fetched from elsewhere."""

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Trunkline API</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; }
  summary { cursor: pointer; padding: .3rem 0; }
  summary code { font-weight: 600; }
  .method { display: inline-block; width: 4.5rem; font: 600 .8rem ui-monospace, monospace; color: #0b5fa5; }
  .deprecated { opacity: .55; }
  pre, textarea { background: #f4f4f4; padding: .7rem; overflow: auto; width: 100%; box-sizing: border-box;
    font: .85rem/1.4 ui-monospace, monospace; border: 0; }
  input { font: inherit; padding: .2rem .4rem; }
  button { font: inherit; margin: .4rem 0; }
  details details { margin-left: 1rem; }
  @media (prefers-color-scheme: dark) { body { background: #16181b; color: #e6e6e6; }
    pre, textarea, input { background: #23262b; color: inherit; } .method { color: #6db7f2; } }
</style>
<h1>Trunkline API</h1>
<p>The same as JSON: <a href="openapi.json">openapi.json</a>.
  API key for trying: <input id="key" type="password" autocomplete="off" placeholder="trk_…"></p>
<main id="operations"></main>
<h2>Schemas</h2>
<section id="schemas"></section>
<script>
const el = (tag, props = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), props);
  node.append(...children);
  return node;
};
const json = (value) => el("pre", { textContent: JSON.stringify(value, null, 2) });

function operation(path, method, op) {
  // The examples are there to be sent: those of paths and bodies as they stand, the others to be chosen.
  const shown = (p) => (p.in === "path" ? String(p.example ?? "") : "");
  const hint = (p) => (p.example === undefined ? p.name : `${p.name}, such as ${p.example}`);
  const inputs = op.parameters.map((p) => [p, el("input", { value: shown(p), placeholder: hint(p), title: p.name })]);
  const content = op.requestBody?.content["application/json"];
  const example = content && JSON.stringify(content.example ?? {}, null, 2);
  const body = content && el("textarea", { rows: Math.min(24, example.split("\\n").length + 1), value: example });
  const out = el("pre", { hidden: true });
  const send = el("button", { textContent: "Send" });
  send.onclick = async () => {
    let url = path;
    const query = new URLSearchParams();
    const headers = {};
    for (const [p, input] of inputs) {
      if (p.in === "path") url = url.replace(`{${p.name}}`, encodeURIComponent(input.value));
      else if (p.in === "header" && input.value) headers[p.name] = input.value;
      else if (input.value) query.append(p.name, input.value);
    }
    const key = document.getElementById("key").value;
    if (key) headers.Authorization = `Bearer ${key}`;
    if (body) headers["Content-Type"] = "application/json";
    const request = { method: method.toUpperCase(), headers, body: body?.value };
    const answer = await fetch(url + (query.size ? `?${query}` : ""), request);
    const text = await answer.text();
    let shown = text;
    try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch {}
    out.hidden = false;
    out.textContent = `${answer.status}\\n${shown}`;
  };
  const parts = inputs.map(([, input]) => input);
  if (body) parts.push(body, el("details", {}, el("summary", { textContent: "Schema" }), json(content.schema)));
  return el("details", { className: op.deprecated ? "deprecated" : "" },
    el("summary", {}, el("span", { className: "method", textContent: method.toUpperCase() }),
      el("code", { textContent: path }), ` ${op.summary}`),
    el("p", { textContent: op.description ?? "" }), ...parts, send, out,
    el("details", {}, el("summary", { textContent: "Answers" }), json(op.responses)));
}

fetch("openapi.json").then((r) => r.json()).then((doc) => {
  const tags = {};
  for (const [path, methods] of Object.entries(doc.paths))
    for (const [method, op] of Object.entries(methods)) (tags[op.tags[0]] ??= []).push(operation(path, method, op));
  for (const [tag, list] of Object.entries(tags))
    document.getElementById("operations").append(el("h2", { textContent: tag }), ...list);
  for (const [name, schema] of Object.entries(doc.components.schemas))
    document.getElementById("schemas").append(
      el("details", { id: name }, el("summary", {}, el("code", { textContent: name })), json(schema)));
});
</script>
</html>
"""
