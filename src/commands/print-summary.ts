/** The summary for a person. */
import type { Summary } from '../summary.ts';
import { STREAMS } from '../topology/types.ts';
import type { Host } from './host.ts';

const MICROS = 1_000_000;
const MOST_CAMPAIGNS = 10;

const grouped = (value: number): string => value.toLocaleString('en-US');
export const moneyText = (micros: number): string =>
  (micros / MICROS).toLocaleString('en-US', { minimumFractionDigits: 2, maximumFractionDigits: 2 });

/** @param seconds how long it took; the rate is of all records */
export function printSummary(host: Host, summary: Summary, seconds: number): void {
  const lines: string[] = ['', row('stream', 'accepted', 'duplicate', 'late', 'invalid', 'suspected')];
  let records = 0;
  for (const stream of STREAMS) {
    const { records: counts, suspected } = summary.streams[stream];
    records += Object.values(counts).reduce((sum, count) => sum + count, 0);
    lines.push(row(stream, ...[counts.accepted, counts.duplicate, counts.late, counts.invalid, suspected].map(grouped)));
  }
  const campaigns = Object.entries(summary.spend).map(([id, days]) => ({
    id,
    micros: Object.values(days).reduce((sum, day) => sum + day.spend_micros, 0),
    impressions: Object.values(days).reduce((sum, day) => sum + day.impressions, 0),
  }));
  campaigns.sort((a, b) => b.micros - a.micros);
  lines.push('', row('campaign', 'spend', 'impressions'));
  for (const { id, micros, impressions } of campaigns.slice(0, MOST_CAMPAIGNS))
    lines.push(row(id, moneyText(micros), grouped(impressions)));
  if (campaigns.length > MOST_CAMPAIGNS) lines.push(`… and ${grouped(campaigns.length - MOST_CAMPAIGNS)} more (--json shows all)`);
  lines.push('', row('experiment', 'units by variant'));
  for (const [id, { units, contaminated }] of Object.entries(summary.exposed).slice(0, MOST_CAMPAIGNS)) {
    const shown = Object.entries(units).map(([variant, count]) => `${variant} ${grouped(count)}`);
    lines.push(`${id.slice(0, 24).padEnd(26)}${shown.join('  ')}${contaminated > 0 ? `  (${grouped(contaminated)} contaminated)` : ''}`);
  }
  const rate = seconds > 0 ? `, ${grouped(Math.round(records / seconds))} a second` : '';
  lines.push('', `${grouped(records)} records in ${seconds.toFixed(1)} s${rate}`, '');
  host.out.write(lines.join('\n'));
}

const row = (name: string, ...values: string[]): string =>
  `${name.slice(0, 24).padEnd(26)}${values.map((value) => value.padStart(16)).join('')}`;
