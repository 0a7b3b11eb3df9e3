/**
 * QR codes (ISO/IEC 18004) of bytes, with correction level M, up to version 15: 412 bytes. An address for authenticator
 * apps has about 120. Pure: text in, squares out.
 */

/** Codewords for correction in each block, by version from 1 on (table 9, level M). */
const CORRECTION = [10, 16, 26, 18, 24, 16, 18, 22, 22, 26, 30, 22, 22, 24, 24];
/** How many blocks there are. */
const BLOCKS = [1, 1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 8, 9, 9, 10];
const VERSION_MAX = 15;
const PAD = [0xec, 0x11];

/** Squares of a symbol: true is dark. */
export type Squares = boolean[][];

/** Multiplication in GF(2^8) modulo x^8 + x^4 + x^3 + x^2 + 1. */
function times(a: number, b: number): number {
  let product = 0;
  for (let bit = 7; bit >= 0; bit -= 1) {
    product = (product << 1) ^ ((product >>> 7) * 0x11d);
    product ^= ((b >>> bit) & 1) * a;
  }
  return product;
}

/** The generator polynomial of a degree, without its leading 1. */
function generator(degree: number): number[] {
  const result = new Array<number>(degree).fill(0);
  result[degree - 1] = 1;
  let root = 1;
  for (let i = 0; i < degree; i += 1) {
    for (let j = 0; j < degree; j += 1) result[j] = times(result[j] ?? 0, root) ^ (result[j + 1] ?? 0);
    root = times(root, 2);
  }
  return result;
}

/** Reed-Solomon remainder of a block. */
export function correction(data: readonly number[], degree: number): number[] {
  const divisor = generator(degree);
  let rest = new Array<number>(degree).fill(0);
  for (const byte of data) {
    const factor = byte ^ (rest[0] ?? 0);
    rest = [...rest.slice(1), 0].map((value, i) => value ^ times(divisor[i] ?? 0, factor));
  }
  return rest;
}

/** Squares that hold data or correction, in a version. */
function capacityBits(version: number): number {
  let bits = (16 * version + 128) * version + 64;
  if (version >= 2) {
    const marks = Math.floor(version / 7) + 2;
    bits -= (25 * marks - 10) * marks - 55;
    if (version >= 7) bits -= 36;
  }
  return bits;
}

function dataBytes(version: number): number {
  const blocks = BLOCKS[version - 1] ?? 0;
  return Math.floor(capacityBits(version) / 8) - blocks * (CORRECTION[version - 1] ?? 0);
}

/** Length, data and padding as codewords, for the smallest version that holds them. */
function codewords(bytes: Uint8Array): { version: number; data: number[] } {
  let version = 1;
  const header = (v: number) => 4 + (v < 10 ? 8 : 16);
  while (version <= VERSION_MAX && header(version) + bytes.length * 8 > dataBytes(version) * 8) version += 1;
  if (version > VERSION_MAX) throw new Error("the text is too long for a QR code");
  const bits: number[] = [];
  const put = (value: number, length: number) => {
    for (let bit = length - 1; bit >= 0; bit -= 1) bits.push((value >>> bit) & 1);
  };
  put(0b0100, 4);
  put(bytes.length, header(version) - 4);
  for (const byte of bytes) put(byte, 8);
  const room = dataBytes(version) * 8;
  put(0, Math.min(4, room - bits.length));
  put(0, (8 - (bits.length % 8)) % 8);
  for (let i = 0; bits.length < room; i += 1) put(PAD[i % 2] ?? 0, 8);
  const data: number[] = [];
  for (let i = 0; i < bits.length; i += 8) data.push(Number.parseInt(bits.slice(i, i + 8).join(""), 2));
  return { version, data };
}

/** Blocks with their correction, interleaved as they are drawn. */
function interleaved(version: number, data: readonly number[]): number[] {
  const count = BLOCKS[version - 1] ?? 1;
  const degree = CORRECTION[version - 1] ?? 0;
  const total = Math.floor(capacityBits(version) / 8);
  const short = count - (total % count);
  const length = Math.floor(total / count) - degree;
  const blocks: { data: number[]; check: number[] }[] = [];
  let at = 0;
  for (let i = 0; i < count; i += 1) {
    const part = data.slice(at, at + length + (i < short ? 0 : 1));
    at += part.length;
    blocks.push({ data: part, check: correction(part, degree) });
  }
  const result: number[] = [];
  for (let i = 0; i <= length; i += 1) {
    for (const block of blocks) {
      const byte = block.data[i];
      if (byte !== undefined) result.push(byte);
    }
  }
  for (let i = 0; i < degree; i += 1) for (const block of blocks) result.push(block.check[i] ?? 0);
  return result;
}

const MASKS: readonly ((x: number, y: number) => boolean)[] = [
  (x, y) => (x + y) % 2 === 0,
  (_, y) => y % 2 === 0,
  (x) => x % 3 === 0,
  (x, y) => (x + y) % 3 === 0,
  (x, y) => (Math.floor(x / 3) + Math.floor(y / 2)) % 2 === 0,
  (x, y) => ((x * y) % 2) + ((x * y) % 3) === 0,
  (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2 === 0,
  (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2 === 0,
];

/** A symbol while it is drawn: what is dark, and what belongs to its fixed patterns. */
class Canvas {
  readonly size: number;
  readonly dark: Squares;
  readonly fixed: Squares;

  constructor(readonly version: number) {
    this.size = version * 4 + 17;
    const empty = () => Array.from({ length: this.size }, () => new Array<boolean>(this.size).fill(false));
    this.dark = empty();
    this.fixed = empty();
    this.#patterns();
  }

  fix(x: number, y: number, dark: boolean): void {
    const [row, marks] = [this.dark[y], this.fixed[y]];
    if (!row || !marks || x < 0 || x >= this.size) return;
    row[x] = dark;
    marks[x] = true;
  }

  #patterns(): void {
    const end = this.size - 1;
    for (let i = 0; i < this.size; i += 1) {
      this.fix(6, i, i % 2 === 0);
      this.fix(i, 6, i % 2 === 0);
    }
    for (const [x, y] of [
      [3, 3],
      [end - 3, 3],
      [3, end - 3],
    ] as const)
      this.#finder(x, y);
    const places = this.#alignment();
    const last = places.length - 1;
    for (const [i, x] of places.entries()) {
      for (const [j, y] of places.entries()) {
        const corner = (i === 0 && j === 0) || (i === 0 && j === last) || (i === last && j === 0);
        if (!corner) this.#align(x, y);
      }
    }
    this.format(0);
    this.#version();
  }

  #finder(cx: number, cy: number): void {
    for (let dy = -4; dy <= 4; dy += 1) {
      for (let dx = -4; dx <= 4; dx += 1) {
        const ring = Math.max(Math.abs(dx), Math.abs(dy));
        this.fix(cx + dx, cy + dy, ring !== 2 && ring !== 4);
      }
    }
  }

  #align(cx: number, cy: number): void {
    for (let dy = -2; dy <= 2; dy += 1) {
      for (let dx = -2; dx <= 2; dx += 1) this.fix(cx + dx, cy + dy, Math.max(Math.abs(dx), Math.abs(dy)) !== 1);
    }
  }

  /** Centres of the alignment patterns, on both axes (annex E). */
  #alignment(): number[] {
    if (this.version === 1) return [];
    const count = Math.floor(this.version / 7) + 2;
    const step = Math.floor((this.version * 8 + count * 3 + 5) / (count * 4 - 4)) * 2;
    const places = [6];
    for (let i = count - 2; i >= 0; i -= 1) places.push(this.size - 7 - i * step);
    return places;
  }

  /** Level and mask with their BCH check, twice. */
  format(mask: number): void {
    let rest = mask;
    for (let i = 0; i < 10; i += 1) rest = (rest << 1) ^ ((rest >>> 9) * 0x537);
    const bits = ((mask << 10) | rest) ^ 0x5412;
    const bit = (i: number) => ((bits >>> i) & 1) === 1;
    for (let i = 0; i <= 5; i += 1) this.fix(8, i, bit(i));
    this.fix(8, 7, bit(6));
    this.fix(8, 8, bit(7));
    this.fix(7, 8, bit(8));
    for (let i = 9; i < 15; i += 1) this.fix(14 - i, 8, bit(i));
    for (let i = 0; i < 8; i += 1) this.fix(this.size - 1 - i, 8, bit(i));
    for (let i = 8; i < 15; i += 1) this.fix(8, this.size - 15 + i, bit(i));
    this.fix(8, this.size - 8, true);
  }

  #version(): void {
    if (this.version < 7) return;
    let rest = this.version;
    for (let i = 0; i < 12; i += 1) rest = (rest << 1) ^ ((rest >>> 11) * 0x1f25);
    const bits = (this.version << 12) | rest;
    for (let i = 0; i < 18; i += 1) {
      const [a, b] = [this.size - 11 + (i % 3), Math.floor(i / 3)];
      this.fix(a, b, ((bits >>> i) & 1) === 1);
      this.fix(b, a, ((bits >>> i) & 1) === 1);
    }
  }

  /** Fills the codewords in, in the zigzag from the lower right. */
  fill(bytes: readonly number[]): void {
    let at = 0;
    for (let right = this.size - 1; right >= 1; right -= 2) {
      if (right === 6) right = 5;
      for (let step = 0; step < this.size; step += 1) {
        const upward = ((right + 1) & 2) === 0;
        const y = upward ? this.size - 1 - step : step;
        for (const x of [right, right - 1]) {
          const row = this.dark[y];
          if (!row || this.fixed[y]?.[x] || at >= bytes.length * 8) continue;
          row[x] = (((bytes[at >>> 3] ?? 0) >>> (7 - (at & 7))) & 1) === 1;
          at += 1;
        }
      }
    }
  }

  /** The symbol under a mask. */
  masked(mask: number): Squares {
    this.format(mask);
    const turns = MASKS[mask] ?? (() => false);
    return this.dark.map((row, y) => row.map((dark, x) => dark !== (!this.fixed[y]?.[x] && turns(x, y))));
  }
}

/** How badly a symbol can be read (section 7.8.3): runs, blocks, finder look-alikes, balance. */
function penalty(squares: Squares): number {
  const size = squares.length;
  let total = 0;
  const columns = squares.map((_, x) => squares.map((row) => row[x] ?? false));
  for (const line of [...squares, ...columns]) {
    const text = line.map((dark) => (dark ? "1" : "0")).join("");
    for (const run of text.match(/0{5,}|1{5,}/g) ?? []) total += run.length - 2;
    total += 40 * (text.match(/(?=00001011101|10111010000)/g)?.length ?? 0);
  }
  let dark = 0;
  for (let y = 0; y < size; y += 1) {
    for (let x = 0; x < size; x += 1) {
      const value = squares[y]?.[x];
      if (value) dark += 1;
      const same = [squares[y]?.[x + 1], squares[y + 1]?.[x], squares[y + 1]?.[x + 1]];
      if (same.every((other) => other === value)) total += 3;
    }
  }
  const percent = (dark * 100) / (size * size);
  return total + Math.floor(Math.abs(percent - 50) / 5) * 10;
}

/** The squares of the symbol for a text. Throws if the text is too long. */
export function encode(text: string): Squares {
  const { version, data } = codewords(new TextEncoder().encode(text));
  const canvas = new Canvas(version);
  canvas.fill(interleaved(version, data));
  const candidates = MASKS.map((_, mask) => canvas.masked(mask));
  return candidates.reduce((best, next) => (penalty(next) < penalty(best) ? next : best));
}
