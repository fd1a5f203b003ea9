// Small things that every view needs: elements, whose text is only ever set as text, and how numbers and times are written.

export function el(tag, props = {}, ...children) {
  const node = Object.assign(document.createElement(tag), props);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export const phone = (number) => (number && /^\d+$/.test(number) ? `+${number}` : number || "withheld");
export const clock = (at) => (at ? new Date(at).toLocaleTimeString([], { hour12: false }) : "");
export const day = (at) => (at ? new Date(at).toLocaleString([], { dateStyle: "medium", timeStyle: "short", hour12: false }) : "");
export const seconds = (value) => `${value.toFixed(2)} s`;

export function lasted(from, to) {
  const whole = Math.max(0, Math.round((new Date(to) - new Date(from)) / 1000));
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}
