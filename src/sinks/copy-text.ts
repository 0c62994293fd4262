/** Rows in COPY's text format. */

/** These four characters have a meaning there, all others stand for themselves. */
const ESCAPES: Record<string, string> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' };
export const escapeText = (text: string): string => text.replace(/[\\\t\n\r]/g, (found) => ESCAPES[found]);

export type CopyValue = string | number | boolean | null;

/** One row, its end included. */
export const copyLine = (values: readonly CopyValue[]): string =>
  `${values.map((value) => (value === null ? '\\N' : escapeText(String(value)))).join('\t')}\n`;

/** Keeps a chunk near 64 KiB: few writes, and no long synchronous stretch. */
const ROWS_PER_CHUNK = 500;

export function* copyChunks<Item>(items: readonly Item[], line: (item: Item) => string): Generator<string> {
  for (let from = 0; from < items.length; from += ROWS_PER_CHUNK) {
    yield items
      .slice(from, from + ROWS_PER_CHUNK)
      .map(line)
      .join('');
  }
}
