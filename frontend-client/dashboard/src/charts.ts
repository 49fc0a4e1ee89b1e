//! Owns the charts: one card per figure with its newest value and its last five minutes.
//! Called by main.ts once a second.

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { $, h, say } from "../../shared/dom";
import { bytes, count, millis } from "./format";
import type { Column, Series } from "./series";

interface Card {
  id: string;
  title: string;
  lines: [column: Column, name: string][];
  shown(value: number): string;
}

const CARDS: Card[] = [
  {
    id: "connections",
    title: "Connections",
    lines: [
      ["connections", "connections"],
      ["sessions", "sessions"],
    ],
    shown: count,
  },
  { id: "rooms-chart", title: "Rooms", lines: [["rooms", "rooms"]], shown: count },
  {
    id: "events",
    title: "Events per second",
    lines: [
      ["in", "in"],
      ["out", "out"],
    ],
    shown: count,
  },
  {
    id: "latency",
    title: "Latency",
    lines: [
      ["p50", "p50"],
      ["p99", "p99"],
    ],
    shown: millis,
  },
  { id: "memory", title: "Memory", lines: [["memory", "resident"]], shown: bytes },
  {
    id: "cpu",
    title: "CPU",
    lines: [["cpu", "of one core"]],
    shown: (value) => `${value < 10 ? value.toFixed(1) : Math.round(value)} %`,
  },
];
const WINDOW_S = 300;
const HEIGHT = 110;

export class Charts {
  #plots: { card: Card; plot: uPlot; values: HTMLElement[] }[] = [];

  constructor(private readonly series: Series) {
    this.#build();
    // The colours are the style sheet's: a plot keeps those it was made with.
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#build());
    new ResizeObserver(() => this.#fit()).observe($("charts"));
  }

  update(): void {
    for (const { card, plot, values } of this.#plots) {
      plot.setData(this.#data(card));
      card.lines.forEach(([column], at) => {
        const value = this.series.last(column);
        say(values[at]!, value === null ? "–" : card.shown(value));
      });
    }
  }

  #data(card: Card): uPlot.AlignedData {
    return [this.series.time, ...card.lines.map(([column]) => this.series.columns[column])];
  }

  #build(): void {
    this.#plots.forEach(({ plot }) => plot.destroy());
    const style = getComputedStyle(document.documentElement),
      colour = (name: string) => style.getPropertyValue(name).trim();
    const boxes: HTMLElement[] = [];
    this.#plots = CARDS.map((card) => {
      const values = card.lines.map(([column]) => h("dd", { class: "num", data: { column } }, "–"));
      const canvas = h("div", { class: "plot", role: "img", "aria-label": `${card.title}, the last five minutes` });
      boxes.push(
        h(
          "div",
          { class: "card chart", id: `chart-${card.id}` },
          h("h2", null, card.title),
          h(
            "dl",
            null,
            ...card.lines.map(([, name], at) => h("div", { class: `line-${at}` }, h("dt", null, name), values[at])),
          ),
          canvas,
        ),
      );
      const axis = {
        stroke: colour("--soft"),
        grid: { stroke: colour("--line"), width: 1 },
        ticks: { show: false },
        font: `11px ${colour("--sans")}`,
      };
      const plot = new uPlot(
        {
          width: 300,
          height: HEIGHT,
          legend: { show: false },
          cursor: { show: false },
          padding: [8, 16, 0, 0],
          scales: {
            x: { time: true, range: (_, __, max) => [max - WINDOW_S, max] },
            y: { range: (_, __, max) => [0, Math.max(max * 1.15, 1e-3)] },
          },
          axes: [
            {
              ...axis,
              grid: { show: false },
              size: 22,
              space: 40,
              incrs: [60, 120, 300],
              values: (_, ticks) => ticks.map((at) => new Date(at * 1000).toTimeString().slice(0, 5)),
            },
            { ...axis, size: 58, space: 34, values: (_, ticks) => ticks.map((value) => card.shown(value)) },
          ],
          series: [
            {},
            ...card.lines.map(([, label], at) => ({
              label,
              stroke: colour(at ? "--chart-b" : "--chart-a"),
              width: 2,
              points: { show: false },
              ...(at || card.lines.length > 1 ? {} : { fill: colour("--chart-fill") }),
            })),
          ],
        },
        this.#data(card),
        canvas,
      );
      return { card, plot, values };
    });
    $("charts").replaceChildren(...boxes);
    this.#fit();
    this.update();
  }

  #fit(): void {
    for (const { plot } of this.#plots) {
      const width = plot.root.parentElement?.clientWidth ?? 0;
      if (width > 0 && width !== plot.width) plot.setSize({ width, height: HEIGHT });
    }
  }
}
