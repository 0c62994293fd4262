import { describe, expect, test } from 'vitest';
import { requestOf } from '../../src/alerts/payloads.ts';
import type { Route, RouteType } from '../../src/alerts/routes.ts';
import { type AlertRecord, alertJson } from '../../src/alerts/types.ts';

const RAISED = Date.UTC(2026, 2, 2, 12);
const alert: AlertRecord = {
  kind: 'counts_uncertain',
  subject: { kind: 'source', id: 'impressions/3' },
  phase: '17',
  severity: 'ticket',
  owner: 'ads',
  summary: 'a < b & "c"',
  description: 'we saw it',
  nextStep: 'look',
  facts: { seen: 1 },
  id: 'f'.repeat(32),
  ordinal: 0,
  raisedAtMs: RAISED,
  updatedAtMs: RAISED + 5,
  endedAtMs: null,
  endedBy: null,
  holds: true,
};
const ended: AlertRecord = {
  ...alert,
  endedAtMs: RAISED + 60_000,
  endedBy: 'acknowledged',
  summary: 'changed meanwhile',
  facts: { seen: 2 },
};
const links = {
  statusUrl: 'https://stream.example',
  runbookUrl: 'https://wiki.example/runbook.md',
  experimentUrl: 'https://lab.example/e/{id}',
};
const NO_LINKS = { statusUrl: '', runbookUrl: '', experimentUrl: '' };

const route = (type: RouteType, more: Partial<Route> = {}): Route => ({
  name: 'r',
  type,
  url: 'https://x.example/hook',
  secret: null,
  kinds: [],
  severities: [],
  owners: [],
  ...more,
});
const sent = (to: Route, of: AlertRecord = alert, at = links) => {
  const request = requestOf(to, of.endedAtMs === null ? 'raised' : 'ended', alertJson(of), at);
  return { ...request, body: JSON.parse(request.body) };
};

describe('Alertmanager', () => {
  test('is told by labels which alert it is, by annotations what was found out, and when it began', () => {
    const { url, body } = sent(route('alertmanager', { url: 'http://am:9093/' }));
    expect(url).toBe('http://am:9093/api/v2/alerts');
    expect(body).toEqual([
      {
        labels: {
          alertname: 'counts_uncertain',
          service: 'exposure-stream',
          severity: 'ticket',
          subject_kind: 'source',
          subject: 'impressions/3',
          owner: 'ads',
          alert_id: alert.id,
        },
        annotations: {
          summary: alert.summary,
          description: 'we saw it',
          next_step: 'look',
          facts: '{"seen":1}',
          holds: 'true',
          runbook: 'https://wiki.example/runbook.md#counts_uncertain',
        },
        startsAt: '2026-03-02T12:00:00.000Z',
        generatorURL: 'https://stream.example',
      },
    ]);
  });

  test('is told the end under the very same labels, whatever has changed since', () => {
    const [[before], [after]] = [alert, ended].map((one) => sent(route('alertmanager'), one).body);
    expect(after.labels).toEqual(before.labels);
    expect(after).toMatchObject({
      startsAt: before.startsAt,
      endsAt: '2026-03-02T12:01:00.000Z',
      annotations: { ended_by: 'acknowledged' },
    });
    expect(before).not.toHaveProperty('endsAt');
  });
});

describe('PagerDuty', () => {
  const to = route('pagerduty', { secret: 'key' });

  test('gets a trigger and a resolve under one dedup_key, the alert’s id; the key only in the body', () => {
    const trigger = sent(to);
    expect(trigger.headers).not.toHaveProperty('authorization');
    expect(trigger.body).toMatchObject({
      routing_key: 'key',
      event_action: 'trigger',
      dedup_key: alert.id,
      payload: {
        summary: alert.summary,
        source: 'source impressions/3',
        severity: 'warning',
        timestamp: '2026-03-02T12:00:00.000Z',
        class: 'counts_uncertain',
      },
      links: [{ href: 'https://wiki.example/runbook.md#counts_uncertain' }],
    });
    expect(sent(to, ended).body).toMatchObject({ routing_key: 'key', event_action: 'resolve', dedup_key: alert.id });
  });

  test('takes 1,024 characters of summary, cut between characters', () => {
    const { body } = sent(to, { ...alert, summary: `${'x'.repeat(1022)}💶💶` });
    expect(body.payload.summary).toHaveLength(1024);
    expect(body.payload.summary.endsWith('\ufffd…')).toBe(true);
  });
});

test('Slack gets text in which nothing of the alert is markup, with links and the id', () => {
  expect(sent(route('slack')).body.text).toBe(
    `[ticket] a &lt; b &amp; "c"\nsource impressions/3, ads\nwe saw it\nNext: look\n<https://wiki.example/runbook.md#counts_uncertain|Runbook> · <https://stream.example|Status> · Alert ${alert.id}`,
  );
  expect(sent(route('slack'), { ...ended, owner: '' }, NO_LINKS).body.text).toBe(
    `[over: acknowledged] changed meanwhile\nsource impressions/3\nAlert ${alert.id}`,
  );
});

test('a webhook gets the alert as the API shows it, what happened to it, and a key to tell repeats by', () => {
  const { url, headers, body } = sent(route('webhook', { secret: 'token' }));
  expect(url).toBe('https://x.example/hook');
  expect(headers).toEqual({ 'content-type': 'application/json', authorization: 'Bearer token', 'idempotency-key': `${alert.id}:raised` });
  expect(body).toEqual({
    version: 1,
    event: 'raised',
    alert: alertJson(alert),
    status_url: links.statusUrl,
    runbook_url: `${links.runbookUrl}#counts_uncertain`,
    experiment_url: '',
  });
  expect(sent(route('webhook'), ended).headers['idempotency-key']).toBe(`${alert.id}:ended`);
});

test('an alert about an experiment links to it, whatever its id looks like', () => {
  const about: AlertRecord = { ...alert, subject: { kind: 'experiment', id: 'new $& checkout/2' } };
  const url = 'https://lab.example/e/new%20%24%26%20checkout%2F2';
  expect(sent(route('webhook'), about).body.experiment_url).toBe(url);
  expect(sent(route('alertmanager'), about).body[0].annotations.experiment).toBe(url);
  expect(sent(route('pagerduty', { secret: 'k' }), about).body.links[0]).toEqual({ href: url, text: 'Experiment' });
  expect(sent(route('slack'), about).body.text).toContain(`<${url}|Experiment> · <`);
  expect(sent(route('slack'), about, NO_LINKS).body.text).not.toContain('Experiment>');
});

test('what is no text (U+0000, half a pair) is replaced wherever it stands, so that no receiver refuses the alert for it', () => {
  const odd = alertJson({ ...alert, summary: 'a\u0000b', facts: { 'k\ud800': ['x\u0000', { deep: '\udc00' }], n: 1, none: null } });
  expect(odd).toMatchObject({ summary: 'a\ufffdb', facts: { 'k\ufffd': ['x\ufffd', { deep: '\ufffd' }], n: 1, none: null } });
});
