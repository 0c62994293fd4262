import { describe, expect, test } from 'vitest';
import { takes } from '../../src/alerts/routes.ts';
import { loadRoutes, loadSettings } from '../../src/config.ts';

const SECRET = 'b4tt3ry-h0rs3';
const files: Record<string, string> = { '/run/secrets/slack': ` https://hooks.slack.com/services/${SECRET} \n` };

const read =
  (routes: object[]) =>
  (path: string): string => {
    if (path === '/yaml') return JSON.stringify({ alerts: { routes } });
    if (path in files) return files[path];
    throw new Error(`ENOENT ${path}`);
  };
const load = (routes: object[], environment: Record<string, string> = {}) =>
  loadRoutes(loadSettings({ ...environment, CONFIG_FILE: '/yaml' }, read(routes)), environment, read(routes));

const complaint = (routes: object[], environment: Record<string, string> = {}): string => {
  try {
    load(routes, environment);
  } catch (error) {
    expect(error).toMatchObject({ code: 'bad_setting', action: 'exit_2' });
    return (error as Error).message;
  }
  throw new Error('nothing was wrong with it');
};

test('without routes nothing goes anywhere', () => {
  expect(load([])).toEqual([]);
});

test('secrets come from the variable that a route names, or from the file that NAME_FILE names', () => {
  const routes = load(
    [
      { name: 'oncall', type: 'pagerduty', secretFrom: 'PD_KEY' },
      { name: 'chat', type: 'slack', urlFrom: 'SLACK_URL' },
      { name: 'am', type: 'alertmanager', url: 'http://alertmanager:9093/' },
      { name: 'hook', type: 'webhook', url: 'https://x.example/alerts', secretFrom: 'PD_KEY' },
    ],
    { PD_KEY: SECRET, SLACK_URL_FILE: '/run/secrets/slack' },
  );
  expect(routes.map(({ url, secret }) => [url, secret])).toEqual([
    ['https://events.pagerduty.com/v2/enqueue', SECRET],
    [`https://hooks.slack.com/services/${SECRET}`, null],
    ['http://alertmanager:9093/', null],
    ['https://x.example/alerts', SECRET],
  ]);
});

describe('a wrong route is named, and no secret is', () => {
  test.each([
    [[{ name: 'a', type: 'carrier pigeon' }], {}, 'alerts.routes.0.type is "carrier pigeon": expected one of alertmanager'],
    [[{ name: 'a b', type: 'slack' }], {}, 'alerts.routes.0.name is "a b"'],
    [[{ name: 'a', type: 'webhook', url: 'http://x', kinds: ['no such kind'] }], {}, 'alerts.routes.0.kinds.0 is "no such kind"'],
    [[{ name: 'a', type: 'webhook', url: 'http://x', colour: 'red' }], {}, 'alerts.routes.0.colour'],
    [[{ name: 'a', type: 'webhook' }], {}, 'alerts.routes.0 (a): expected url or urlFrom'],
    [[{ name: 'a', type: 'webhook', url: 'http://x', urlFrom: 'HOOK' }], { HOOK: 'http://y' }, 'expected url or urlFrom, not both'],
    [[{ name: 'a', type: 'webhook', url: 'ftp://x' }], {}, 'the URL is "ftp://x": expected http'],
    [[{ name: 'a', type: 'webhook', urlFrom: 'HOOK' }], {}, 'alerts.routes.0 (a).urlFrom is HOOK: expected that variable, or HOOK_FILE'],
    [[{ name: 'a', type: 'webhook', urlFrom: 'HOOK' }], { HOOK_FILE: '/nowhere' }, 'HOOK_FILE is "/nowhere": the file cannot be read'],
    [[{ name: 'a', type: 'webhook', urlFrom: 'HOOK' }], { HOOK: `not a URL ${SECRET}` }, 'the URL is (hidden)'],
    [[{ name: 'a', type: 'webhook', url: `https://u:${SECRET}@x` }], {}, 'has a user or a password in it'],
    [[{ name: 'a', type: 'pagerduty' }], {}, 'expected secretFrom'],
    [[{ name: 'a', type: 'slack', url: 'https://hooks.slack.com/x' }], {}, 'expected urlFrom alone'],
    [
      [
        { name: 'a', type: 'webhook', url: 'http://x' },
        { name: 'a', type: 'webhook', url: 'http://y' },
      ],
      {},
      'expected another name',
    ],
  ] as [object[], Record<string, string>, string][])('%j', (routes, environment, says) => {
    const message = complaint(routes, environment);
    expect(message).toContain(says);
    expect(message).not.toContain(SECRET);
  });
});

test('what delivers nothing needs no secret of a route, but its form must be right', () => {
  const routes = (route: object) => loadSettings({ CONFIG_FILE: '/yaml' }, () => JSON.stringify({ alerts: { routes: [route] } }));
  expect(() => routes({ name: 'a', type: 'pagerduty', secretFrom: 'PD_KEY' })).not.toThrow();
  expect(() => routes({ name: 'a', type: 'pagerduty' })).toThrow('expected secretFrom');
});

test('a route takes what it names by kind, severity and owner; what it does not name it takes whatever it is', () => {
  const [page, ads, all] = load([
    { name: 'page', type: 'webhook', url: 'http://x', severities: ['page'] },
    { name: 'ads', type: 'webhook', url: 'http://x', owners: ['ads', 'growth'], kinds: ['counts_uncertain'] },
    { name: 'all', type: 'webhook', url: 'http://x' },
  ]);
  const alert = { kind: 'counts_uncertain', severity: 'ticket', owner: 'ads' } as const;
  expect([page, ads, all].map((route) => takes(route, alert))).toEqual([false, true, true]);
  expect([page, ads, all].map((route) => takes(route, { ...alert, severity: 'page', owner: '' }))).toEqual([true, false, true]);
  expect([page, ads, all].map((route) => takes(route, { ...alert, kind: 'of another version' }))).toEqual([false, false, true]);
});
