// Charts with plotly. An element says by `data-chart` which one it is and by `data-from` where its values are.
"use strict";
window.PlotlyGeoAssets = { topojson: new Proxy({}, { get: () => ({ type: "Topology", objects: {}, arcs: [] }) }) }; // nothing is fetched

const charts = {
  style(element) {
    const css = getComputedStyle(element);
    const of = (name) => css.getPropertyValue(name).trim();
    return { text: of("--text"), soft: of("--soft"), line: of("--line"), mark: of("--mark"), font: getComputedStyle(document.body).fontFamily };
  },
  layout(element, more) {
    const style = charts.style(element);
    const axis = { gridcolor: style.line, linecolor: style.line, zerolinecolor: style.line, tickfont: { color: style.soft } };
    return {
      margin: { l: 56, r: 16, t: 12, b: 36 }, height: element.clientHeight || 288, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: style.font, color: style.text, size: 12 }, hovermode: "x unified", showlegend: true,
      legend: { orientation: "h", y: -0.18, font: { color: style.soft } },
      ...more, xaxis: { ...axis, ...more.xaxis }, yaxis: { ...axis, rangemode: "tozero", ...more.yaxis },
    };
  },
  options: { displayModeBar: false, responsive: true, locale: "en-US" },
  kinds: {},
};

charts.kinds.throughput = async (element) => {
  const answer = await fetch(element.dataset.from, { headers: { "Datong-Follows": "1" } });
  if (!answer.ok) return;
  const moments = [], lines = new Map();
  function put(at, rates) {
    moments.push(new Date(at));
    for (const name of new Set([...lines.keys(), ...Object.keys(rates)])) {
      if (!lines.has(name)) lines.set(name, Array(moments.length - 1).fill(0));
      lines.get(name).push(rates[name] ?? 0);
    }
    while (moments.length > 600) { moments.shift(); for (const values of lines.values()) values.shift(); }
  }
  for (const sample of (await answer.json()).samples) put(sample.at, sample.rates);
  const traces = () => [...lines].filter(([name, values]) => !name || values.some(Boolean)).map(([name, y]) => (
    { x: [...moments], y: [...y], name: name || element.dataset.all, mode: "lines", line: { width: name ? 1.3 : 2.4, shape: "hv", color: name ? undefined : charts.style(element).mark } }));
  const layout = charts.layout(element, { yaxis: { title: { text: element.dataset.unit } } });
  await Plotly.newPlot(element, traces(), layout, charts.options);
  document.addEventListener("sample", (event) => {
    put(event.detail.at, event.detail.rates);
    if (!document.hidden) Plotly.react(element, traces(), layout, charts.options);
  });
};

document.addEventListener("DOMContentLoaded", () => {
  for (const element of document.querySelectorAll("[data-chart]")) charts.kinds[element.dataset.chart](element);
});
