// Updates of the document. Only differences are written, so that focus, selection and open details stay.
// Text is inserted as text: no code on this page parses markup.

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

function setVisible(node, visible) {
  if (node.hidden === visible) node.hidden = !visible;
}

/** Write texts into the elements of `root` that data-field names. */
function fillFields(root, texts) {
  for (const [name, text] of Object.entries(texts)) {
    setText(root.querySelector(`[data-field="${name}"]`), text);
  }
}

/** Set the text of an alert. Screen readers announce its changes, so an empty alert stays in the document. */
function setNote(node, text) {
  setText(node, text);
}

function setBadge(node, state) {
  setText(node, displayText(state ?? "unknown"));
  setTone(node, TONES, state);
}

function setTone(node, tones, state) {
  const isKnown = typeof state === "string" && Object.hasOwn(tones, state);
  setAttribute(node, "data-tone", isKnown ? tones[state] : "still");
}

/** Set the two parts of a bar, as shares of the total. */
function setBar(bar, good, bad, total) {
  const [first, second] = bar.children;
  first.style.width = total ? `${(100 * good) / total}%` : "0";
  second.style.width = total ? `${(100 * bad) / total}%` : "0";
}

function cloneTemplate(template) {
  return byId(template).content.firstElementChild.cloneNode(true);
}

/** Give `parent` one child per item, reused by key; `update` gets the node and the item. */
function setChildren(parent, items, keyOf, template, update) {
  const keys = new Set(items.map(keyOf));
  for (const node of [...parent.children]) if (!keys.has(node.dataset.key)) node.remove();
  const nodes = new Map([...parent.children].map((node) => [node.dataset.key, node]));
  const focused = document.activeElement;
  items.forEach((item, index) => {
    const key = keyOf(item);
    const node = nodes.get(key) ?? cloneTemplate(template);
    nodes.delete(key);
    node.dataset.key = key;
    update(node, item);
    if (parent.children[index] !== node) parent.insertBefore(node, parent.children[index] ?? null);
  });
  for (const node of nodes.values()) node.remove();
  // A node that is moved loses the focus.
  if (focused !== document.activeElement && parent.contains(focused)) focused.focus({ preventScroll: true });
}

/** Link only to a web address: a `javascript:` URL would run. */
function setLink(anchor, address) {
  const url = URL.canParse(address) ? new URL(address) : null;
  if (url && (url.protocol === "https:" || url.protocol === "http:")) setAttribute(anchor, "href", url.href);
  else anchor.removeAttribute("href");
}

function announce(text) {
  setText(byId("announcer"), text);
}
