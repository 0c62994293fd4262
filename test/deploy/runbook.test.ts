import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ALERT_KINDS } from '../../src/alerts/kinds.ts';
import { ERRORS } from '../../src/errors.ts';
import { METRICS } from '../../src/metrics.ts';
import { alertRules, anchorOf, entriesOf, headingsOf, metricsInRules, ROOT, readText } from './tables.ts';

const PAGE = 'deploy/runbook.md';
const page = readText(PAGE);
const alerts = alertRules();
const isHistogram = (name: string): boolean => (METRICS as Record<string, { type: string }>)[name]?.type === 'histogram';

describe('the runbook', () => {
  it('has an entry for every error code, and none for a code that does not exist', () => {
    expect(entriesOf(page, 'Errors').sort()).toEqual(Object.keys(ERRORS).sort());
  });

  it('has an entry for every alert, and none for an alert that does not exist', () => {
    expect(entriesOf(page, 'Alerts').sort()).toEqual(alerts.map(({ alert }) => alert).sort());
  });

  it('has an entry for every kind of alert that the program raises itself', () => {
    expect(entriesOf(page, 'Alerts that the stream raises itself').sort()).toEqual(Object.keys(ALERT_KINDS).sort());
  });

  it('says in every entry more than its heading', () => {
    const empty = page.split(/^### /m).filter((entry) => entry.trim().split('\n').length < 3);
    expect(empty).toEqual([]);
  });

  it('names only metrics that exist', () => {
    const named = [...page.matchAll(/\bexposure_stream_([a-z0-9_]+)\b/g)].map(([, name]) => name);
    expect(named.filter((name) => !Object.hasOwn(METRICS, name))).toEqual([]);
  });

  it('links only to headings and files that are there', () => {
    const anchors = new Set(headingsOf(page).map(anchorOf));
    const targets = [...page.matchAll(/\]\(([^)]+)\)/g)].map(([, target]) => target);
    const broken = targets.filter((target) =>
      target.startsWith('#') ? !anchors.has(target.slice(1)) : !existsSync(join(ROOT, dirname(PAGE), target)),
    );
    expect(targets.length).toBeGreaterThan(10);
    expect(broken).toEqual([]);
  });
});

describe('the alert rules', () => {
  it('ask only for metrics that the program declares', () => {
    const named = metricsInRules(isHistogram);
    expect(named.length).toBeGreaterThan(5);
    expect(named.filter((name) => !Object.hasOwn(METRICS, name))).toEqual([]);
  });

  it('tell each what it means, how bad it is and where the runbook has it', () => {
    for (const { alert, labels, annotations, for: pending } of alerts) {
      expect(['page', 'ticket'], alert).toContain(labels['severity']);
      expect(pending, alert).toMatch(/^\d+m$/);
      expect(annotations['summary'], alert).toBeTruthy();
      expect(annotations['description'], alert).toBeTruthy();
      expect(annotations['runbook'], alert).toBe(`${PAGE}#${anchorOf(alert)}`);
    }
  });

  it('ask by labels that the metrics have', () => {
    const unknown = alerts.flatMap(({ alert, expr }) =>
      [...expr.matchAll(/\bexposure_stream_([a-z0-9_]+?)(?:_bucket)?\{([^}]*)\}/g)].flatMap(([, name, matchers]) =>
        [...matchers.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)]
          .filter(([, label]) => !(METRICS as Record<string, { labels: readonly string[] }>)[name]?.labels.includes(label))
          .map(([, label]) => `${alert}: ${name}{${label}}`),
      ),
    );
    expect(unknown).toEqual([]);
  });
});
