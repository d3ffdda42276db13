// The chart of throughput over time: one bar per slot, updated in place.

const CHART_HEIGHT = 100;
const SLOTS_SHOWN = 30;

/** The next higher round number, so that the scale does not change with every bar. */
function roundUp(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 4, 6, 8, 10].map((step) => step * power).find((step) => step >= value);
}

function readThroughput(value) {
  const width = numberOf(value?.width);
  const counts = Array.isArray(value?.counts) ? value.counts.map((count) => numberOf(count) ?? 0) : [];
  return width > 0 && counts.length ? { width, rates: counts.map((count) => count / width) } : null;
}

/** Describe the bars in text. While the batch runs, the last slot is incomplete and left out. */
function describeThroughput({ width, rates }, running) {
  const complete = running && rates.length > 1 ? rates.slice(0, -1) : rates;
  const mean = complete.reduce((sum, rate) => sum + rate, 0) / complete.length;
  const parts = [`peak ${formatRate(Math.max(...complete))}`, `mean ${formatRate(mean)}`];
  if (running) parts.unshift(`now ${formatRate(complete.at(-1))}`);
  return { text: parts.join(" · "), span: formatDuration(width * rates.length) };
}

function drawChart(view, value, running) {
  const throughput = readThroughput(value);
  setVisible(byId("chart"), throughput !== null);
  if (throughput === null) return;
  const { rates } = throughput;
  const top = roundUp(Math.max(...rates));
  const slots = Math.max(SLOTS_SHOWN, rates.length);
  const { text, span } = describeThroughput(throughput, running);
  const svg = byId("chart-svg");
  setAttribute(svg, "viewBox", `0 0 ${slots} ${CHART_HEIGHT}`);
  setAttribute(svg, "aria-label", `Items settled a second over ${span}: ${text}`);
  drawBars(svg, rates.map((rate) => (CHART_HEIGHT * rate) / top), running);
  const chartSpan = formatDuration(throughput.width * slots);
  fillFields(view, { "chart-text": text, "chart-top": formatRate(top), "chart-span": chartSpan });
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
