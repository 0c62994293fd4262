/** How results look: marks and colours on a terminal, words elsewhere. */
import type { Host, Output } from './host.ts';

export type Status = 'ok' | 'warning' | 'error';

const MARKS = { ok: '✓', warning: '!', error: '✗' } as const;
const COLOURS = { ok: 32, warning: 33, error: 31 } as const;

/** `✓`, `!` or `✗` on a terminal, coloured unless NO_COLOR is set; the word elsewhere. */
export function markOf(host: Host, status: Status, output: Output = host.out): string {
  if (!output.isTTY) return status.padEnd('warning'.length);
  return host.environment['NO_COLOR'] ? MARKS[status] : `\u001b[${COLOURS[status]}m${MARKS[status]}\u001b[0m`;
}
