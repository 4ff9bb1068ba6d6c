// @ts-check
// A file as a sheet of cells, filled in the colours of where its bytes came from.
import { Sources } from './sources.js';

const CELL = 11;
const GAP = 3;
const PITCH = CELL + GAP;
const RADIUS = 2.5;
const MAX_ROWS = 9;
/** Chunks are about this long: smaller cells would pretend to know more. */
const MIN_CELL_BYTES = 64 * 1024;
const GLOW_MS = 700;

/**
 * @typedef {object} MapContent
 * @property {number} size of the file, in bytes
 * @property {Sources} sources what came in this go
 * @property {Sources} known and what earlier ones had of the rest
 */

export class ChunkMap {
  #canvas;
  #pen;
  /** @type {MapContent} */
  #content = { size: 0, sources: new Sources(), known: new Sources() };
  /** @type {{ start: number, end: number } | undefined} */
  #marked;
  /** Parts that have just come, and when. @type {{ start: number, end: number, at: number }[]} */
  #glowing = [];
  #drawing = false;
  #calm = matchMedia('(prefers-reduced-motion: reduce)');

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.#canvas = canvas;
    this.#pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    new ResizeObserver(() => this.#draw()).observe(canvas);
    // Colours come from the style sheet, which goes by this.
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#draw());
  }

  /** @param {MapContent} content */
  show(content) {
    const before = this.#content.sources.end;
    const { end } = content.sources;
    if (end > before && before > 0 && !this.#calm.matches)
      this.#glowing.push({ start: before, end, at: performance.now() });
    this.#content = content;
    this.#drawSoon();
  }

  /** Makes a part of the file stand out, or nothing. @param {{ start: number, end: number } | undefined} part */
  mark(part) {
    this.#marked = part;
    this.#drawSoon();
  }

  #drawSoon() {
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      this.#draw();
      if (this.#glowing.length > 0) this.#drawSoon();
    });
  }

  #draw() {
    const { size, sources, known } = this.#content;
    const width = this.#canvas.clientWidth;
    if (width === 0) return;
    const columns = Math.max(1, Math.floor((width + GAP) / PITCH));
    const wanted = Math.max(1, Math.ceil(size / MIN_CELL_BYTES));
    const rows = Math.min(MAX_ROWS, Math.ceil(wanted / columns));
    const cells = Math.min(wanted, columns * rows);
    this.#fit(width, rows * PITCH - GAP);
    const colours = coloursOf(this.#canvas);
    const cellBytes = Math.max(1, size / cells);
    const now = performance.now();
    this.#glowing = this.#glowing.filter(({ at }) => now - at < GLOW_MS);
    for (let cell = 0; cell < cells; cell++) {
      const box = { x: (cell % columns) * PITCH, y: Math.floor(cell / columns) * PITCH };
      const part = { start: cell * cellBytes, end: (cell + 1) * cellBytes };
      this.#pen.globalAlpha = this.#marked && !meet(part, this.#marked) ? 0.22 : 1;
      this.#fill(box, part, part, colours.empty);
      for (const run of known.runs) {
        if (run.end <= part.start) continue;
        if (run.start >= part.end) break;
        // What only earlier goes had is to be read again, and may be gone: it is shown paler.
        const had = { start: Math.max(run.start, sources.end), end: run.end };
        if (had.start < had.end) this.#fill(box, part, had, colours.earlier[run.source]);
        const has = { start: run.start, end: Math.min(run.end, sources.end) };
        if (has.start < has.end) this.#fill(box, part, has, colours[run.source]);
      }
      for (const glow of this.#glowing) {
        if (!meet(part, glow)) continue;
        this.#pen.globalAlpha = 0.75 * (1 - (now - glow.at) / GLOW_MS);
        this.#fill(box, part, glow, colours.glow);
      }
    }
    this.#pen.globalAlpha = 1;
  }

  /**
   * The share of a cell that a part of the file has.
   * @param {{ x: number, y: number }} box
   * @param {{ start: number, end: number }} cell
   * @param {{ start: number, end: number }} part
   * @param {string} colour
   */
  #fill({ x, y }, cell, part, colour) {
    const scale = CELL / (cell.end - cell.start);
    const from = Math.max(0, (part.start - cell.start) * scale);
    const to = Math.min(CELL, (part.end - cell.start) * scale);
    if (to <= from) return;
    const left = from === 0 ? RADIUS : 0;
    const right = to === CELL ? RADIUS : 0;
    this.#pen.fillStyle = colour;
    this.#pen.beginPath();
    this.#pen.roundRect(x + from, y, to - from, CELL, [left, right, right, left]);
    this.#pen.fill();
  }

  /** Sharp on every screen. @param {number} width @param {number} height */
  #fit(width, height) {
    const ratio = devicePixelRatio || 1;
    const wide = Math.round(width * ratio);
    const high = Math.round(height * ratio);
    if (this.#canvas.width !== wide || this.#canvas.height !== high) {
      this.#canvas.width = wide;
      this.#canvas.height = high;
      this.#canvas.style.height = `${height}px`;
    }
    this.#pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.#pen.clearRect(0, 0, width, height);
  }
}

/** @param {Element} element */
function coloursOf(element) {
  const style = getComputedStyle(element);
  const value = (/** @type {string} */ name) => style.getPropertyValue(`--${name}`).trim();
  const earlier = {
    network: value('network-earlier'),
    cache: value('cache-earlier'),
    shared: value('shared-earlier'),
  };
  return {
    empty: value('empty'),
    glow: value('glow'),
    network: value('network'),
    cache: value('cache'),
    shared: value('shared'),
    earlier,
  };
}

/** @param {{ start: number, end: number }} a @param {{ start: number, end: number }} b */
function meet(a, b) {
  return a.start < b.end && b.start < a.end;
}
