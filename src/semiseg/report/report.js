// Draws the charts of the page in its own colours, light or dark, and again when the reader's system changes.
"use strict";
(() => {
  const drawings = JSON.parse(document.getElementById("drawings").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const touch = window.matchMedia("(pointer: coarse)").matches;

  const theme = () => {
    const ink = dark.matches ? "#eceff2" : "#16191d";
    const grid = dark.matches ? "#3a424b" : "#d5dae0";
    const card = dark.matches ? "#1d2126" : "#f6f7f9";
    const colours = { "font.color": ink, "hoverlabel.bgcolor": card, "hoverlabel.font.color": ink, "legend.bgcolor": "rgba(0,0,0,0)" };
    for (const axis of ["xaxis", "yaxis"]) {
      colours[axis + ".gridcolor"] = grid;
      colours[axis + ".zerolinecolor"] = grid;
      colours[axis + ".linecolor"] = grid;
    }
    return colours;
  };

  const nested = (flat) => {
    const tree = {};
    for (const [path, value] of Object.entries(flat)) {
      const parts = path.split(".");
      let place = tree;
      for (const part of parts.slice(0, -1)) place = place[part] ??= {};
      place[parts.at(-1)] = value;
    }
    return tree;
  };

  const merged = (below, above) => {
    const both = { ...below };
    for (const [key, value] of Object.entries(above)) {
      const deep = value && typeof value === "object" && !Array.isArray(value);
      both[key] = deep ? merged(below[key] ?? {}, value) : value;
    }
    return both;
  };

  const places = [...document.querySelectorAll("[data-chart]")];
  for (const place of places) {
    const drawing = drawings[place.dataset.chart];
    const layout = merged(drawing.layout, nested(theme()));
    layout.font.family = getComputedStyle(document.body).fontFamily;
    // A finger that scrolls the page must not zoom a chart.
    if (touch) layout.dragmode = false;
    // The buttons stand in a margin of their own: they would cover the legend.
    else Object.assign(layout, { modebar: { orientation: "v", bgcolor: "rgba(0,0,0,0)" }, margin: { ...layout.margin, r: 40 } });
    Plotly.newPlot(place, drawing.data, layout, {
      responsive: true,
      displaylogo: false,
      displayModeBar: touch ? false : "hover",
      modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
    });
  }
  dark.addEventListener("change", () => places.forEach((place) => Plotly.relayout(place, theme())));
})();
