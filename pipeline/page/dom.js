// Changes of the document, only where something is different: focus, selection and open details stay.
// Text goes in as text: nothing here, or anywhere on this page, reads markup.

const SVG = "http://www.w3.org/2000/svg";

function byId(id) {
  return document.getElementById(id);
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

function show(node, visible) {
  if (node.hidden === visible) node.hidden = !visible;
}

/** Write texts into the places of `root` that are named by data-field. */
function fill(root, texts) {
  for (const [name, text] of Object.entries(texts)) {
    setText(root.querySelector(`[data-field="${name}"]`), text);
  }
}

/** An alert is read out when its text comes, so an empty one stays in the document. */
function setNote(node, text) {
  setText(node, text);
}

function setBadge(node, state) {
  setText(node, shown(state ?? "unknown"));
  setAttribute(node, "data-tone", (typeof state === "string" && Object.hasOwn(TONES, state) && TONES[state]) || "still");
}

/** The two parts of a bar, as shares of the whole. */
function setBar(bar, good, bad, whole) {
  const [first, second] = bar.children;
  first.style.width = whole ? `${(100 * good) / whole}%` : "0";
  second.style.width = whole ? `${(100 * bad) / whole}%` : "0";
}

function copyOf(template) {
  return byId(template).content.firstElementChild.cloneNode(true);
}

/** Make the children of `parent` those of `items`, each kept under its key; `update` gets the node and the item. */
function setChildren(parent, items, keyOf, template, update) {
  const keys = new Set(items.map(keyOf));
  for (const node of [...parent.children]) if (!keys.has(node.dataset.key)) node.remove();
  const known = new Map([...parent.children].map((node) => [node.dataset.key, node]));
  const focused = document.activeElement;
  items.forEach((item, place) => {
    const key = keyOf(item);
    const node = known.get(key) ?? copyOf(template);
    known.delete(key);
    node.dataset.key = key;
    update(node, item);
    if (parent.children[place] !== node) parent.insertBefore(node, parent.children[place] ?? null);
  });
  for (const node of known.values()) node.remove();
  // A node that is moved loses the focus.
  if (focused !== document.activeElement && parent.contains(focused)) focused.focus({ preventScroll: true });
}

/** Link only to what is a web address: a `javascript:` would run. */
function setLink(anchor, address) {
  const url = URL.canParse(address) ? new URL(address) : null;
  if (url && (url.protocol === "https:" || url.protocol === "http:")) setAttribute(anchor, "href", url.href);
  else anchor.removeAttribute("href");
}

function announce(text) {
  setText(byId("announcer"), text);
}
