// Elements from data. Text goes in as text, never as markup: the page's policy forbids the other way.

const LINES_KEPT = 20;
const SVG = "http://www.w3.org/2000/svg";

/**
 * Make an element.
 * @param {string} tag
 * @param {object} [properties] attributes; `on` holds listeners by event; false, null and undefined leave out
 * @param {...(Node|string|number|null|false|Array)} children
 */
export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** Make an SVG element, as `h` does. */
export function svg(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (value === true) {
      element.setAttribute(name, "");
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, String(value));
    }
  }
  element.append(...nodes(children));
  return element;
}

function nodes(children) {
  return children
    .flat(Infinity)
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : String(child)));
}

/** A part of the page that is drawn anew only when what it shows has changed, and keeps the focus then. */
export class Part {
  #draw;
  #shown;

  /**
   * @param {Element} element what holds the part
   * @param {(data: any) => any} draw children for that data
   */
  constructor(element, draw) {
    this.element = element;
    this.#draw = draw;
  }

  show(data) {
    const wanted = JSON.stringify(data) ?? "";
    if (wanted === this.#shown) return;
    this.#shown = wanted;
    const focused = this.element.contains(document.activeElement) ? document.activeElement.id : "";
    const open = [...this.element.querySelectorAll("details[open][id]")].map((details) => details.id);
    this.element.replaceChildren(...nodes([this.#draw(data)]));
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  }
}

/** Tell people who listen instead of look: a line is added, since one that is overwritten may go unheard. */
export function announce(text) {
  const lines = document.getElementById("announcements");
  lines.append(h("p", {}, text));
  while (lines.children.length > LINES_KEPT) lines.firstElementChild.remove();
}
