/** What the files under deploy/ declare, read as text and YAML. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

export const ROOT = join(import.meta.dirname, '..', '..');

export const readText = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

export interface AlertRule {
  alert: string;
  expr: string;
  for?: string;
  labels: Record<string, string>;
  annotations: Record<string, string>;
}

interface Rule extends Partial<AlertRule> {
  expr: string;
}

const rules = (): Rule[] =>
  (parse(readText('deploy/prometheus/rules.yml')) as { groups: { rules: Rule[] }[] }).groups.flatMap((group) => group.rules);

export const alertRules = (): AlertRule[] => rules().filter((rule): rule is AlertRule => rule.alert !== undefined);

/** Names of our metrics in all expressions, as in METRICS: no prefix, no suffix of a histogram's series. */
export function metricsInRules(isHistogram: (name: string) => boolean): string[] {
  const found = rules().flatMap(({ expr }) => [...expr.matchAll(/\bexposure_stream_([a-z0-9_]+)\b/g)].map(([, name]) => name));
  const plain = found.map((name) => {
    const base = name.replace(/_(bucket|sum|count)$/, '');
    return isHistogram(base) ? base : name;
  });
  return [...new Set(plain)].sort();
}

/** Third-level headings below one of the second level, in their order. */
export function entriesOf(page: string, section: string): string[] {
  const [, after = ''] = page.split(`\n## ${section}\n`);
  const [body = ''] = after.split('\n## ');
  return [...body.matchAll(/^### (.+)$/gm)].map(([, title]) => title);
}

/** As GitHub makes an anchor of a heading of ours: letters, digits, hyphens and underscores. */
export const anchorOf = (title: string): string =>
  title
    .toLowerCase()
    .replaceAll(' ', '-')
    .replace(/[^a-z0-9_-]/g, '');

export const headingsOf = (page: string): string[] => [...page.matchAll(/^#+ (.+)$/gm)].map(([, title]) => title);
