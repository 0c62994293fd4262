import { request } from 'node:http';
import { connect } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { json, text, WebServer } from '../../src/web/server.ts';

const HOST = '127.0.0.1';
let server: WebServer;
let port: number;

beforeEach(async () => {
  server = new WebServer({
    '/': () => text('page'),
    '/api': async () => json({ a: 1 }),
    '/waiting': () => text('not yet', 503),
    '/throws': () => {
      throw new Error('broken at once');
    },
    '/rejects': () => Promise.reject(new Error('broken later')),
  });
  port = await server.listen(HOST, 0);
});
afterEach(() => server.close());

const ask = (path: string, method = 'GET'): Promise<[number, string]> =>
  new Promise((resolve, reject) => {
    const asking = request({ host: HOST, port, path, method }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => {
        body += chunk.toString();
      });
      response.on('end', () => resolve([response.statusCode ?? 0, body]));
    });
    asking.on('error', reject);
    asking.end();
  });

/** The status line of the answer to these very bytes. */
const raw = (head: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connect(port, HOST, () => socket.write(`${head}\r\nHost: x\r\nConnection: close\r\n\r\n`));
    let answer = '';
    socket.on('data', (chunk: Buffer) => {
      answer += chunk.toString();
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(answer.split('\r\n')[0]));
  });

test('GET answers, HEAD answers without a body, a query string changes nothing', async () => {
  expect(await ask('/')).toEqual([200, 'page']);
  expect(await ask('/api?x=1')).toEqual([200, '{\n  "a": 1\n}\n']);
  expect(await ask('/', 'HEAD')).toEqual([200, '']);
  expect(await ask('/waiting')).toEqual([503, 'not yet']);
});

test('what is not there is 404, the names that every object has included; what is no reading is 405', async () => {
  for (const path of ['/nothing', '/constructor', '/__proto__', '/api/', '//api']) expect((await ask(path))[0]).toBe(404);
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) expect((await ask('/', method))[0]).toBe(405);
});

test('a route that fails, at once or later, is 500 with its message, and the server goes on', async () => {
  expect(await ask('/throws')).toEqual([500, 'broken at once\n']);
  expect(await ask('/rejects')).toEqual([500, 'broken later\n']);
  expect(await ask('/throws', 'HEAD')).toEqual([500, '']);
  expect(await ask('/')).toEqual([200, 'page']);
});

test.each(['//', 'http://', 'http://%', 'http://[', '*', '/%zz'])('a request for %s ends nothing', async (target) => {
  expect(await raw(`GET ${target} HTTP/1.1`)).toMatch(/^HTTP\/1\.1 4\d\d /);
  expect(await ask('/')).toEqual([200, 'page']);
});

test('a port that is taken is refused, not ignored', async () => {
  const second = new WebServer({});
  await expect(second.listen(HOST, port)).rejects.toMatchObject({ code: 'EADDRINUSE' });
});
