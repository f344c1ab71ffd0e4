// Charts with plotly. An element says by `data-chart` which one it is and by `data-from` where its values are.
"use strict";
window.PlotlyGeoAssets = { topojson: new Proxy({}, { get: () => ({ type: "Topology", objects: {}, arcs: [] }) }) }; // nothing is fetched

const charts = {
  style(element) {
    const css = getComputedStyle(element);
    const of = (name) => css.getPropertyValue(name).trim();
    return { text: of("--text"), soft: of("--soft"), line: of("--line"), mark: of("--mark"), calm: of("--calm-ground"), ground: of("--ground"), font: getComputedStyle(document.body).fontFamily };
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
  dates: { // without names of months, which plotly's script has in English alone
    hoverformat: "%Y-%m-%d %H:%M:%S",
    tickformatstops: [[null, 60_000, "%H:%M:%S"], [60_000, 86_400_000, "%H:%M"], [86_400_000, "M1", "%Y-%m-%d"], ["M1", null, "%Y-%m"]]
      .map(([least, most, value]) => ({ dtickrange: [least, most], value })),
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
  const layout = charts.layout(element, { xaxis: charts.dates, yaxis: { title: { text: element.dataset.unit } } });
  await Plotly.newPlot(element, traces(), layout, charts.options);
  document.addEventListener("sample", (event) => {
    put(event.detail.at, event.detail.rates);
    if (!document.hidden) Plotly.react(element, traces(), layout, charts.options);
  });
};

// How far a group is behind: what was sampled, then what the page is told. A text that does not come has not changed.
charts.kinds.lag = async (element) => {
  const answer = await fetch(element.dataset.from, { headers: { "Datong-Follows": "1" } });
  if (!answer.ok) return;
  const points = (await answer.json()).samples.map((sample) => [sample.at, sample.lag]);
  const traces = () => [{ x: points.map(([at]) => new Date(at)), y: points.map(([, lag]) => lag), name: element.dataset.all, mode: "lines", line: { width: 2, shape: "hv", color: charts.style(element).mark } }];
  const layout = charts.layout(element, { showlegend: false, xaxis: charts.dates, yaxis: { title: { text: element.dataset.unit } } });
  await Plotly.newPlot(element, traces(), layout, charts.options);
  document.addEventListener("sample", (event) => {
    const text = event.detail.live[element.dataset.name];
    const lag = text === undefined ? points.at(-1)?.[1] : Number(text.replaceAll(",", ""));
    if (!element.dataset.name || !Number.isFinite(lag) || event.detail.at <= points.at(-1)?.[0]) return;
    points.push([event.detail.at, lag]);
    if (points.length > 600) points.shift();
    if (!document.hidden) Plotly.react(element, traces(), layout, charts.options);
  });
};

charts.kinds.map = async (element) => {
  const asked = [element.dataset.from, element.dataset.shapes].map((path) => fetch(path));
  const answers = await Promise.all(asked);
  if (!answers.every((answer) => answer.ok)) return;
  const [{ map, regions }, geojson] = await Promise.all(answers.map((answer) => answer.json()));
  const style = charts.style(element);
  const span = (s) => s >= 86400 ? `${Math.round(s / 86400)} d` : s >= 3600 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 60)} min`;
  const said = (region) => region.value === null ? element.dataset.nothing : map.measure === "freshness" ? span(region.value) : map.measure === "quarantine" ? `${(region.value * 100).toFixed(2)} %` : region.value.toLocaleString("en-US");
  const shared = { type: "choropleth", geojson, featureidkey: `properties.${map.key}`, marker: { line: { color: style.soft, width: 0.6 } }, hovertemplate: "%{customdata[0]}<br><b>%{customdata[1]}</b><extra></extra>" };
  const known = regions.filter((region) => region.value !== null), missing = regions.filter((region) => region.value === null);
  const share = map.measure === "quarantine", most = Math.max(share ? 0.0001 : 1, ...known.map((region) => region.value));
  const of = (some) => ({ locations: some.map((region) => region.key), customdata: some.map((region) => [region.name, said(region)]) });
  const traces = [
    { ...shared, ...of(known), z: known.map((region) => region.value), zmin: 0, zmax: most, colorscale: [[0, style.calm], [1, style.mark]],
      colorbar: { title: { text: element.dataset.unit }, thickness: 12, outlinewidth: 0, ...(share ? { tickformat: ".1~%" } : {}), ...(element.clientWidth < 480 ? { orientation: "h", y: 0, yanchor: "top", len: 0.9 } : { len: 0.6 }), tickfont: { color: style.soft } } },
    { ...shared, ...of(missing), z: missing.map(() => 0), showscale: false, colorscale: [[0, style.ground], [1, style.ground]] },
  ];
  await Plotly.newPlot(element, traces.filter((trace) => trace.locations.length), {
    margin: { l: 0, r: 0, t: 8, b: element.clientWidth < 480 ? 64 : 8 }, height: element.clientHeight, paper_bgcolor: "rgba(0,0,0,0)", font: { family: style.font, color: style.text, size: 12 },
    geo: { fitbounds: "locations", visible: false, bgcolor: "rgba(0,0,0,0)", projection: { type: "mercator" } }, dragmode: false,
  }, charts.options);
};

document.addEventListener("DOMContentLoaded", () => {
  for (const element of document.querySelectorAll("[data-chart]")) charts.kinds[element.dataset.chart](element);
});
