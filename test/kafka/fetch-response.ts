/** Answers to Fetch requests, in every version that is asked for (https://kafka.apache.org/protocol#The_Messages_Fetch), without correlation id. */
import { int16, int32, int64 } from './wire-numbers.ts';

export interface GivenAnswer {
  partition: number;
  errorCode?: number;
  highWatermark?: number;
  lastStableOffset?: number;
  logStartOffset?: number;
  /** Kafka's null where it is. */
  aborted?: readonly { producerId: string; firstOffset: string }[] | null;
  preferredReadReplica?: number;
  /** Kafka's null where it is. */
  bytes?: Buffer | null;
}

export interface GivenTopic {
  topic: string;
  partitions: readonly GivenAnswer[];
}

export const encodeFetchResponse = (version: number, topics: readonly GivenTopic[], throttleMs = 0): Buffer =>
  Buffer.concat([
    int32(throttleMs),
    ...(version >= 7 ? [int16(0), int32(0)] : []),
    int32(topics.length),
    ...topics.flatMap(({ topic, partitions }) => [
      int16(Buffer.byteLength(topic)),
      Buffer.from(topic),
      int32(partitions.length),
      ...partitions.map((answer) => encodeAnswer(version, answer)),
    ]),
  ]);

const encodeAnswer = (version: number, answer: GivenAnswer): Buffer => {
  const { aborted = [], bytes = Buffer.alloc(0) } = answer;
  return Buffer.concat([
    int32(answer.partition),
    int16(answer.errorCode ?? 0),
    int64(answer.highWatermark ?? 99),
    int64(answer.lastStableOffset ?? 50),
    ...(version >= 5 ? [int64(answer.logStartOffset ?? 0)] : []),
    int32(aborted?.length ?? -1),
    ...(aborted ?? []).flatMap(({ producerId, firstOffset }) => [int64(producerId), int64(firstOffset)]),
    ...(version >= 11 ? [int32(answer.preferredReadReplica ?? -1)] : []),
    int32(bytes?.length ?? -1),
    bytes ?? Buffer.alloc(0),
  ]);
};
