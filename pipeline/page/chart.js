// Throughput over time: a bar a slot, drawn in place.

const CHART_HEIGHT = 100;
const SLOTS_SHOWN = 30;

/** The next higher round number: a scale that does not move with every bar. */
function roundUp(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 4, 6, 8, 10].map((step) => step * power).find((step) => step >= value);
}

function readThroughput(found) {
  const width = numberOf(found?.width);
  const counts = Array.isArray(found?.counts) ? found.counts.map((value) => numberOf(value) ?? 0) : [];
  return width > 0 && counts.length ? { width, rates: counts.map((value) => value / width) } : null;
}

/** In words: what the bars show to who does not see them. The slot that is being filled says nothing yet. */
function describeThroughput({ width, rates }, running) {
  const whole = running && rates.length > 1 ? rates.slice(0, -1) : rates;
  const mean = whole.reduce((sum, rate) => sum + rate, 0) / whole.length;
  const parts = [`peak ${perSecond(Math.max(...whole))}`, `mean ${perSecond(mean)}`];
  if (running) parts.unshift(`now ${perSecond(whole.at(-1))}`);
  return { text: parts.join(" · "), span: duration(width * rates.length) };
}

function drawChart(view, found, running) {
  const throughput = readThroughput(found);
  show(byId("chart"), throughput !== null);
  if (throughput === null) return;
  const { rates } = throughput;
  const top = roundUp(Math.max(...rates));
  const slots = Math.max(SLOTS_SHOWN, rates.length);
  const { text, span } = describeThroughput(throughput, running);
  const svg = byId("chart-svg");
  setAttribute(svg, "viewBox", `0 0 ${slots} ${CHART_HEIGHT}`);
  setAttribute(svg, "aria-label", `Items settled a second over ${span}: ${text}`);
  drawBars(svg, rates.map((rate) => (CHART_HEIGHT * rate) / top), running);
  const whole = duration(throughput.width * slots);
  fill(view, { "chart-text": text, "chart-top": perSecond(top), "chart-span": whole });
}

function drawBars(svg, heights, running) {
  while (svg.children.length > heights.length) svg.lastElementChild.remove();
  while (svg.children.length < heights.length) {
    const bar = document.createElementNS(SVG, "rect");
    setAttribute(bar, "x", svg.children.length + 0.1);
    setAttribute(bar, "width", 0.8);
    svg.append(bar);
  }
  heights.forEach((height, slot) => {
    const bar = svg.children[slot];
    setAttribute(bar, "y", (CHART_HEIGHT - height).toFixed(2));
    setAttribute(bar, "height", height.toFixed(2));
    bar.classList.toggle("filling", running && slot === heights.length - 1);
  });
}
