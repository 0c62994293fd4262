import { createRequire } from 'node:module';
import { expect, test } from 'vitest';
import { kafkaClient } from '../../../src/topology/sources/kafka-client.ts';

const require = createRequire(import.meta.url);
const nothing = (): void => undefined;
kafkaClient({ brokers: ['127.0.0.1:1'], clientId: 'test' }, { debug: nothing, info: nothing, warn: nothing, error: nothing });

test('a request queue with nothing to send sets no timer; one that waits for a throttle does (#1556)', () => {
  const { prototype } = require('kafkajs/src/network/requestQueue/index.js') as {
    prototype: { scheduleCheckPendingRequests(): void };
  };
  const queue = { pending: [] as object[], throttledUntil: -1, throttleCheckTimeoutId: null as NodeJS.Timeout | null };
  prototype.scheduleCheckPendingRequests.call(queue);
  expect(queue.throttleCheckTimeoutId).toBeNull();
  queue.pending.push({});
  prototype.scheduleCheckPendingRequests.call(queue);
  expect(queue.throttleCheckTimeoutId).not.toBeNull();
  if (queue.throttleCheckTimeoutId) clearTimeout(queue.throttleCheckTimeoutId);
});
