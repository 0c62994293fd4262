/**
 * Delivers alerts from the outbox, at least once each, beside everything else. A crash between a delivery and its note repeats
 * it; every receiver is given the alert's id to tell. A receiver that is away is tried again for as long as it takes.
 */
import { asError } from '../errors.ts';
import type { Clock } from '../topology/types.ts';
import type { Delivery, Outbox, OutboxState } from './outbox.ts';
import { type DeliveryEvent, type Links, repeatMsOf, requestOf } from './payloads.ts';
import type { Route } from './routes.ts';

const LOOK_MS = 1000;
const AT_ONCE = 20;
/** What is open and what waits is looked up this often. */
const TELL_MS = 5000;
/** A delivery takes `timeoutMs` at most; what is noted later than this may be delivered by another process too. */
const LEASE_SLACK_MS = 30_000;
const FIRST_BACKOFF_MS = 1000;
const MAX_BACKOFF_MS = 60_000;

export interface DelivererObserver {
  delivered?(route: string, event: DeliveryEvent): void;
  /** Tried again by itself. `why` holds no secret. */
  failed?(delivery: Pick<Delivery, 'alertId' | 'route' | 'event' | 'attempts'>, why: string): void;
  looked?(state: OutboxState): void;
  /** Postgres does not answer. */
  trouble?(what: 'alerts', error: Error): void;
}

export interface DelivererParts {
  outbox: Outbox;
  routes: readonly Route[];
  links: Links;
  timeoutMs: number;
  clock: Clock;
  fetch: typeof fetch;
  observer: DelivererObserver;
}

/** Doubles from a second to a minute. */
export const backoffMsOf = (attempts: number): number => Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.min(attempts - 1, 10));

export class AlertDeliverer {
  readonly #parts: DelivererParts;
  #toldMs = Number.NEGATIVE_INFINITY;

  constructor(parts: DelivererParts) {
    this.#parts = parts;
  }

  /** Until the signal is aborted; then at once, deliveries under way cut off (and made again by the next). */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, observer } = this.#parts;
    while (!signal.aborted) {
      try {
        while ((await this.look(signal)) === AT_ONCE && !signal.aborted);
      } catch (error) {
        observer.trouble?.('alerts', asError(error));
      }
      await clock.sleep(LOOK_MS, signal);
    }
  }

  /** One pass: resolves with how many were tried. Rejects when Postgres does not answer. */
  async look(signal: AbortSignal): Promise<number> {
    const { outbox, timeoutMs, observer, clock } = this.#parts;
    await outbox.route();
    const due = await outbox.lease(AT_ONCE, timeoutMs + LEASE_SLACK_MS);
    await Promise.all(due.map((delivery) => this.#deliver(delivery, signal)));
    const { monotonicMs } = clock.now();
    if (due.length > 0 || monotonicMs - this.#toldMs >= TELL_MS) {
      this.#toldMs = monotonicMs;
      observer.looked?.(await outbox.state());
    }
    return due.length;
  }

  async #deliver(delivery: Delivery, signal: AbortSignal): Promise<void> {
    const { outbox, routes, observer } = this.#parts;
    const route = routes.find(({ name }) => name === delivery.route) as Route;
    const why = await this.#send(route, delivery, signal);
    if (signal.aborted && why !== null) return;
    if (why === null) {
      observer.delivered?.(route.name, delivery.event);
      return outbox.delivered(delivery, repeatMsOf(route));
    }
    observer.failed?.(delivery, why);
    return outbox.failed(delivery, why, backoffMsOf(delivery.attempts));
  }

  /** Null when it was taken, else why not. */
  async #send(route: Route, { event, alert }: Delivery, signal: AbortSignal): Promise<string | null> {
    const { clock, timeoutMs, links } = this.#parts;
    const done = new AbortController();
    const late = new AbortController();
    void clock.sleep(timeoutMs, done.signal).then(() => late.abort());
    try {
      const { url, headers, body } = requestOf(route, event, alert, links);
      const cut = AbortSignal.any([signal, late.signal]);
      // A redirect would make a GET of it, and could lead anywhere.
      const response = await this.#parts.fetch(url, { method: 'POST', headers, body, redirect: 'manual', signal: cut });
      await response.body?.cancel();
      return response.ok ? null : `answered ${response.status}`;
    } catch (error) {
      return hidden(late.signal.aborted ? `no answer within ${timeoutMs} ms` : reasonOf(error), route);
    } finally {
      done.abort();
    }
  }
}

/** `fetch failed` says nothing; its cause does. */
function reasonOf(error: unknown): string {
  const { message, cause } = asError(error);
  const deeper = cause as { code?: string; message?: string } | undefined;
  return deeper?.code ?? deeper?.message ?? message;
}

const hidden = (why: string, { url, secret }: Route): string =>
  [url, new URL(url).pathname, secret].reduce<string>(
    (text, part) => (part && part.length > 1 ? text.replaceAll(part, '(hidden)') : text),
    why,
  );
