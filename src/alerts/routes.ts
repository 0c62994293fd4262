/** Where alerts go: routes of CONFIG_FILE, with their secrets from the environment. */
import { z } from 'zod';
import { StreamError } from '../errors.ts';
import { ALERT_KINDS, type AlertKind, SEVERITIES } from './kinds.ts';
import type { AlertRecord } from './types.ts';

export const ROUTE_TYPES = ['alertmanager', 'pagerduty', 'slack', 'webhook'] as const;
export type RouteType = (typeof ROUTE_TYPES)[number];

const PAGERDUTY_URL = 'https://events.pagerduty.com/v2/enqueue';
const MAX_TIMEOUT_MS = 60_000;

const environmentName = z.string().regex(/^[A-Z][A-Z0-9_]*$/, 'the name of an environment variable');

const routeSchema = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'letters, digits, - and _'),
  type: z.enum(ROUTE_TYPES),
  url: z.string().optional(),
  urlFrom: environmentName.optional(),
  secretFrom: environmentName.optional(),
  kinds: z.array(z.enum(Object.keys(ALERT_KINDS) as [AlertKind])).default([]),
  severities: z.array(z.enum(SEVERITIES)).default([]),
  owners: z.array(z.string()).default([]),
});

export const alertSettings = z
  .strictObject({
    statusUrl: z.string().default('').describe('Where this program’s status page is to be reached, for links in alerts.'),
    runbookUrl: z.string().default('').describe('Where deploy/runbook.md is to be read, for links in alerts.'),
    experimentUrl: z
      .string()
      .default('')
      .describe(
        'Where an experiment is to be seen, for links in its alerts: `{id}` stands for its id, e.g. `https://experiments.example/{id}`.',
      ),
    timeoutMs: z
      .number()
      .int()
      .positive()
      .max(MAX_TIMEOUT_MS)
      .default(10_000)
      .describe('A receiver that has not answered by then is tried again.'),
    routes: z
      .array(routeSchema)
      .default([])
      .describe(
        'Where alerts go, e.g. `- {name: oncall, type: pagerduty, secretFrom: PAGERDUTY_KEY, severities: [page]}`; types `alertmanager` (url without path), `pagerduty`, `slack`, `webhook`; `url`, or `urlFrom` with the name of an environment variable (or of `NAME_FILE`) that holds it; `secretFrom` likewise: PagerDuty’s routing key, else a bearer token. `kinds`, `severities`, `owners`: only these; empty is all.',
      ),
  })
  .prefault({});

export type AlertSettings = z.infer<typeof alertSettings>;
type RouteSettings = AlertSettings['routes'][number];

/** A route with its secrets: never log it, never show it. */
export interface Route {
  name: string;
  type: RouteType;
  url: string;
  secret: string | null;
  kinds: readonly string[];
  severities: readonly string[];
  owners: readonly string[];
}

/** Alerts that some other version raised may have kinds unknown here. */
type Matched = Pick<AlertRecord, 'severity' | 'owner'> & { kind: string };

const includes = (wanted: readonly string[], value: string): boolean => wanted.length === 0 || wanted.includes(value);

export const takes = (route: Route, { kind, severity, owner }: Matched): boolean =>
  includes(route.kinds, kind) && includes(route.severities, severity) && includes(route.owners, owner);

/**
 * What can be told without the secrets, which not every command has.
 * @throws StreamError bad_setting that names the route
 */
export function checkRoutes(settings: AlertSettings): void {
  const names = new Set<string>();
  for (const [i, route] of settings.routes.entries()) {
    const at = placeOf(i, route);
    if (names.has(route.name)) throw wrong(`${at}: expected another name, there is a route of that name already`);
    names.add(route.name);
    checkRoute(route, at);
  }
}

/**
 * All routes with their secrets.
 * @param secretOf the value of an environment variable or of the file that `<NAME>_FILE` names; undefined when neither is set
 * @throws StreamError bad_setting that names the route, and no secret
 */
export const routesOf = (settings: AlertSettings, secretOf: (name: string) => string | undefined): Route[] =>
  settings.routes.map((route, i) => {
    const { name, type, url, urlFrom, secretFrom, kinds, severities, owners } = route;
    const at = placeOf(i, route);
    const read = (from: string, setting: string): string => givenBy(from, `${at}.${setting}`, secretOf);
    const secret = secretFrom === undefined ? null : read(secretFrom, 'secretFrom');
    if (urlFrom === undefined) return { name, type, url: url ?? PAGERDUTY_URL, secret, kinds, severities, owners };
    const hidden = read(urlFrom, 'urlFrom');
    checkUrl(hidden, at, '(hidden)');
    return { name, type, url: hidden, secret, kinds, severities, owners };
  });

const placeOf = (i: number, route: RouteSettings): string => `alerts.routes.${i} (${route.name})`;

function checkRoute({ type, url, urlFrom, secretFrom }: RouteSettings, at: string): void {
  if (type === 'pagerduty' && secretFrom === undefined)
    throw wrong(`${at}: expected secretFrom, the name of the variable that holds the routing key`);
  if (type === 'slack' && (secretFrom !== undefined || url !== undefined))
    throw wrong(`${at}: expected urlFrom alone: the URL of a Slack webhook is its secret`);
  if (url !== undefined && urlFrom !== undefined) throw wrong(`${at}: expected url or urlFrom, not both`);
  if (url === undefined && urlFrom === undefined && type !== 'pagerduty') throw wrong(`${at}: expected url or urlFrom`);
  if (url !== undefined) checkUrl(url, at, JSON.stringify(url.replace(/\/\/[^/@]*@/, '//(hidden)@')));
}

function checkUrl(text: string, at: string, shown: string): void {
  const parsed = URL.canParse(text) ? new URL(text) : null;
  if (parsed === null || !/^https?:$/.test(parsed.protocol)) throw wrong(`${at}: the URL is ${shown}: expected http:// or https://`);
  if (parsed.username !== '' || parsed.password !== '')
    throw wrong(`${at}: the URL has a user or a password in it: expected them in secretFrom, as a bearer token`);
}

function givenBy(name: string, at: string, secretOf: (name: string) => string | undefined): string {
  const value = secretOf(name);
  if (!value) throw wrong(`${at} is ${name}: expected that variable, or ${name}_FILE, to be set`);
  return value;
}

const wrong = (says: string): StreamError => new StreamError('bad_setting', says);
