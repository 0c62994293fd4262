/** What the bench tells a measured process, and what it hears from it; over the IPC channel. */

import type { Stream } from '../../src/topology/types.ts';

export interface WorkerPlan {
  stream: Stream;
  brokers: string;
  /** Names of the run: topics, groups. */
  topic: string;
  partials: string;
  group: string;
  /** Partitions that fall to this process once its group is whole, and the records in them: then it has measured enough. */
  tasks: number;
  records: number;
  decoder: 'in_place' | 'kafkajs';
  /** Keys that the state holds before the first record. */
  keys: number;
  baseMs: number;
  stateDir: string;
  profile: boolean;
  /** Both stages when given. */
  redisUrl: string | null;
  keyPrefix: string;
  fetchBytes: number | null;
}

export interface Expense {
  /** Function, file and line. */
  name: string;
  /** Of all samples that were not idle, 0 to 1. */
  share: number;
}

export interface Measured {
  /** Judged between the two looks that the figures are of. */
  records: number;
  seconds: number;
  cpuSeconds: number;
  /** Of the wall time, 0 to 1. */
  gcShare: number;
  rssBytes: number;
  stateBytes: number;
  /** Longest time the event loop stood still, and its 99th percentile. */
  longestPauseMs: number;
  accepted: number;
  duplicates: number;
  /** Of the oldest record of each emission, from its Kafka time until it was in Redis. */
  latenciesMs: number[];
  /** Of the CPU time, 0 to 1: finding out what goes into partials, and writing it. */
  partialsShare: number;
  partialsBytes: number;
  /** While it was measured: wall time, and how many were judged by then. */
  samples: [wallMs: number, judged: number][];
  expenses: Expense[];
}

export type ToWorker = { stop: true };
export type FromWorker = { ready: true } | { measured: Measured };
