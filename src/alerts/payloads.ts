/** What each kind of receiver is sent. Pure: an alert as the API shows it in, a request out. */
import { createHash } from 'node:crypto';
import { runbookAnchor } from './kinds.ts';
import type { Route } from './routes.ts';
import type { AlertJson } from './store.ts';
import { wellFormed } from './types.ts';

export type DeliveryEvent = 'raised' | 'ended';

export interface Links {
  /** '' where not set. */
  statusUrl: string;
  runbookUrl: string;
  /** `{id}` stands for the experiment's. */
  experimentUrl: string;
}

export interface Request {
  url: string;
  headers: Record<string, string>;
  body: string;
}

/** Alertmanager forgets what it is not told again. Null: once is enough. */
export const repeatMsOf = (route: Pick<Route, 'type'>): number | null => (route.type === 'alertmanager' ? 60_000 : null);

/** PagerDuty cuts off or refuses what is longer. */
const MAX_SUMMARY = 1024;
const SERVICE = 'exposure-stream';
const PAGERDUTY_SEVERITY: Record<string, string> = { page: 'critical', ticket: 'warning', info: 'info' };

const text = (alert: AlertJson, name: string): string => String(alert[name] ?? '');
const isoTime = (ms: unknown): string => new Date(Number(ms)).toISOString();

export const runbookLink = (alert: AlertJson, { runbookUrl }: Links): string =>
  runbookUrl === '' ? '' : `${runbookUrl}${runbookAnchor(text(alert, 'kind'))}`;

/** '' where the alert is about something else, or no place was set. */
export const experimentLink = (alert: AlertJson, { experimentUrl }: Links): string =>
  text(alert, 'subject_kind') === 'experiment' ? experimentUrl.replaceAll('{id}', () => encodeURIComponent(text(alert, 'subject_id'))) : '';

/** @throws RangeError when a time of the alert is none */
export function requestOf(route: Route, event: DeliveryEvent, alert: AlertJson, links: Links): Request {
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  if (route.secret !== null && route.type !== 'pagerduty') headers['authorization'] = `Bearer ${route.secret}`;
  switch (route.type) {
    case 'alertmanager':
      return { url: `${route.url.replace(/\/+$/, '')}/api/v2/alerts`, headers, body: JSON.stringify([alertmanagerAlert(alert, links)]) };
    case 'pagerduty':
      return { url: route.url, headers, body: JSON.stringify(pagerdutyEvent(route, event, alert, links)) };
    case 'slack':
      return { url: route.url, headers, body: JSON.stringify({ text: slackText(event, alert, links) }) };
    case 'webhook':
      headers['idempotency-key'] = `${text(alert, 'alert_id')}:${event}`;
      return { url: route.url, headers, body: JSON.stringify({ version: 1, event, alert, ...named(links, alert) }) };
  }
}

const named = (links: Links, alert: AlertJson): Record<string, string> => ({
  status_url: links.statusUrl,
  runbook_url: runbookLink(alert, links),
  experiment_url: experimentLink(alert, links),
});

/** Labels say which alert it is and never change; all that is found out goes into annotations. */
function alertmanagerAlert(alert: AlertJson, links: Links): object {
  const labels = {
    alertname: text(alert, 'kind'),
    service: SERVICE,
    severity: text(alert, 'severity'),
    subject_kind: text(alert, 'subject_kind'),
    subject: text(alert, 'subject_id'),
    owner: text(alert, 'owner'),
    alert_id: text(alert, 'alert_id'),
  };
  const annotations = {
    summary: text(alert, 'summary'),
    description: text(alert, 'description'),
    next_step: text(alert, 'next_step'),
    facts: JSON.stringify(alert['facts'] ?? {}),
    holds: text(alert, 'holds'),
    ended_by: text(alert, 'ended_by'),
    runbook: runbookLink(alert, links),
    experiment: experimentLink(alert, links),
  };
  const ended = alert['ended_ms'];
  const times = { startsAt: isoTime(alert['raised_ms']), ...(ended === null ? {} : { endsAt: isoTime(ended) }) };
  return {
    labels: filled(labels),
    annotations: filled(annotations),
    ...times,
    ...(links.statusUrl === '' ? {} : { generatorURL: links.statusUrl }),
  };
}

/** An empty label is no label. */
const filled = (values: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== ''));

function pagerdutyEvent(route: Route, event: DeliveryEvent, alert: AlertJson, links: Links): object {
  const common = { routing_key: route.secret, dedup_key: text(alert, 'alert_id'), client: SERVICE, client_url: links.statusUrl };
  if (event === 'ended') return { ...common, event_action: 'resolve' };
  const runbook = runbookLink(alert, links);
  return {
    ...common,
    event_action: 'trigger',
    payload: {
      summary: cut(text(alert, 'summary'), MAX_SUMMARY),
      source: `${text(alert, 'subject_kind')} ${text(alert, 'subject_id')}`,
      severity: PAGERDUTY_SEVERITY[text(alert, 'severity')] ?? 'warning',
      timestamp: isoTime(alert['raised_ms']),
      class: text(alert, 'kind'),
      group: text(alert, 'owner'),
      component: SERVICE,
      custom_details: {
        alert_id: alert['alert_id'],
        description: alert['description'],
        next_step: alert['next_step'],
        facts: alert['facts'],
      },
    },
    links: [
      { href: experimentLink(alert, links), text: 'Experiment' },
      { href: runbook, text: 'Runbook' },
    ].filter(({ href }) => href !== ''),
  };
}

const cut = (long: string, length: number): string => (long.length <= length ? long : `${wellFormed(long.slice(0, length - 1))}…`);

const SLACK_ESCAPES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' };
const escaped = (plain: string): string => plain.replace(/[&<>]/g, (found) => SLACK_ESCAPES[found]);

function slackText(event: DeliveryEvent, alert: AlertJson, links: Links): string {
  const get = (name: string): string => escaped(text(alert, name));
  const head = event === 'raised' ? `[${get('severity')}] ${get('summary')}` : `[over: ${get('ended_by')}] ${get('summary')}`;
  const about = `${get('subject_kind')} ${get('subject_id')}${get('owner') === '' ? '' : `, ${get('owner')}`}`;
  const runbook = runbookLink(alert, links);
  const experiment = experimentLink(alert, links);
  const foot = [
    experiment === '' ? '' : `<${experiment}|Experiment>`,
    runbook === '' ? '' : `<${runbook}|Runbook>`,
    links.statusUrl === '' ? '' : `<${links.statusUrl}|Status>`,
    `Alert ${get('alert_id')}`,
  ];
  const body = event === 'raised' ? [get('description'), get('next_step') === '' ? '' : `Next: ${get('next_step')}`] : [];
  return [head, about, ...body, foot.filter((part) => part !== '').join(' · ')].filter((line) => line !== '').join('\n');
}

/** Names the routes as they are, secrets and receivers left out: who makes deliveries by others makes them again. */
export const fingerprintOf = (routes: readonly Route[]): string =>
  createHash('sha256')
    .update(JSON.stringify(routes.map(({ name, type, kinds, severities, owners }) => [name, type, kinds, severities, owners])))
    .digest('hex')
    .slice(0, 16);
