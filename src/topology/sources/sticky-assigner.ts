/** Who reads which partition: as even as can be, and as much as can be where it was, for its state is there. */
import { AssignerProtocol, type PartitionAssigner } from 'kafkajs';

/** What a member had when it last was one. */
export interface LastAssignment {
  /** Of the group: of two members that name one partition, the later one had it. */
  generation: number;
  /** Partitions by topic. */
  owned: Readonly<Record<string, readonly number[]>>;
}

export interface StickyMember {
  memberId: string;
  topics: readonly string[];
  /** Null for one that is new, or does not say. */
  last: LastAssignment | null;
}

interface Place {
  topic: string;
  partition: number;
}

interface Seat {
  memberId: string;
  topics: ReadonlySet<string>;
  places: Place[];
}

const NAME = 'ExposureStreamSticky';
const VERSION = 1;

/** For kafkajs. `last` is asked at every join. */
export const stickyAssigner =
  (last: () => LastAssignment | null): PartitionAssigner =>
  ({ cluster }) => ({
    name: NAME,
    version: VERSION,
    async assign({ members, topics }) {
      const counts = new Map(topics.map((topic) => [topic, cluster.findTopicPartitionMetadata(topic).length]));
      const assignment = assignSticky(
        members.map(({ memberId, memberMetadata }) => memberOf(memberId, memberMetadata, topics)),
        counts,
      );
      return [...assignment].map(([memberId, owned]) => ({
        memberId,
        memberAssignment: AssignerProtocol.MemberAssignment.encode({ version: VERSION, assignment: owned, userData: Buffer.alloc(0) }),
      }));
    },
    protocol({ topics }) {
      const userData = Buffer.from(JSON.stringify(last()));
      return { name: NAME, metadata: AssignerProtocol.MemberMetadata.encode({ version: VERSION, topics, userData }) };
    },
  });

/**
 * Partitions by member and topic; each partition of `counts` (number by topic) once, members' totals at most one apart where all
 * read the same topics. A member keeps what it had unless it has too many; who leaves or comes moves nobody else's.
 */
export function assignSticky(members: readonly StickyMember[], counts: ReadonlyMap<string, number>): Map<string, Record<string, number[]>> {
  const seats: Seat[] = [...members]
    .sort((a, b) => compare(a.memberId, b.memberId))
    .map(({ memberId, topics }) => ({ memberId, topics: new Set(topics), places: [] }));
  const free = keepOwned(seats, members, counts);
  const quotas = quotasOf(
    seats,
    [...counts.values()].reduce((sum, count) => sum + count, 0),
  );
  const asks = (seat: Seat, { topic, partition }: Place): boolean =>
    seat.topics.has(topic) &&
    seat.places.length < (quotas.get(seat) ?? 0) &&
    members.some(({ memberId, last }) => memberId === seat.memberId && last?.owned[topic]?.includes(partition));
  // What another member with room has the state of goes first, and goes there.
  for (const seat of seats) {
    while (seat.places.length > (quotas.get(seat) ?? 0)) {
      const wanted = seat.places.findIndex((place) => seats.some((other) => other !== seat && asks(other, place)));
      const place = wanted < 0 ? giveUp(seat) : seat.places.splice(wanted, 1)[0];
      const taker = wanted < 0 ? undefined : seats.find((other) => other !== seat && asks(other, place));
      (taker ? taker.places : free).push(place);
    }
  }
  free.sort((a, b) => compare(a.topic, b.topic) || a.partition - b.partition);
  for (const place of free) (seats.find((seat) => asks(seat, place)) ?? seatFor(place, seats, quotas))?.places.push(place);
  return new Map(seats.map(({ memberId, places }) => [memberId, byTopic(places)]));
}

/** Puts every partition where it was; returns those that were nowhere. */
function keepOwned(seats: readonly Seat[], members: readonly StickyMember[], counts: ReadonlyMap<string, number>): Place[] {
  const latest = [...members].sort((a, b) => generationOf(b) - generationOf(a) || compare(a.memberId, b.memberId));
  const free: Place[] = [];
  for (const [topic, count] of counts) {
    for (let partition = 0; partition < count; partition++) {
      const owner = latest.find(({ topics, last }) => topics.includes(topic) && last?.owned[topic]?.includes(partition));
      const seat = owner && seats.find(({ memberId }) => memberId === owner.memberId);
      (seat ? seat.places : free).push({ topic, partition });
    }
  }
  return free;
}

/** Those that have most may keep one more than the others. */
function quotasOf(seats: readonly Seat[], total: number): Map<Seat, number> {
  const least = Math.floor(total / Math.max(1, seats.length));
  const withOneMore = total - least * seats.length;
  const sorted = [...seats].sort((a, b) => b.places.length - a.places.length || compare(a.memberId, b.memberId));
  return new Map(sorted.map((seat, i) => [seat, i < withOneMore ? least + 1 : least]));
}

/** Takes from the topic that it has most of. */
function giveUp({ places }: Seat): Place {
  const held = (topic: string): number => places.filter((place) => place.topic === topic).length;
  let most = 0;
  for (let i = 1; i < places.length; i++) if (held(places[i].topic) >= held(places[most].topic)) most = i;
  return places.splice(most, 1)[0];
}

/** The one that reads the topic, has room, and has least of that topic. Without room anywhere, the emptiest. */
function seatFor(place: Place, seats: readonly Seat[], quotas: ReadonlyMap<Seat, number>): Seat | undefined {
  const readers = seats.filter(({ topics }) => topics.has(place.topic));
  const roomy = readers.filter((seat) => seat.places.length < (quotas.get(seat) ?? 0));
  const held = (seat: Seat): number => seat.places.filter(({ topic }) => topic === place.topic).length;
  const by = roomy.length > 0 ? held : (seat: Seat): number => seat.places.length;
  return (roomy.length > 0 ? roomy : readers).toSorted((a, b) => by(a) - by(b) || a.places.length - b.places.length)[0];
}

function byTopic(places: readonly Place[]): Record<string, number[]> {
  const owned: Record<string, number[]> = {};
  for (const { topic, partition } of places) {
    owned[topic] ??= [];
    owned[topic].push(partition);
  }
  for (const partitions of Object.values(owned)) partitions.sort((a, b) => a - b);
  return owned;
}

/** A member whose words are not understood reads the topics and had nothing. */
function memberOf(memberId: string, metadata: Buffer, topics: readonly string[]): StickyMember {
  try {
    const decoded = AssignerProtocol.MemberMetadata.decode(metadata);
    return { memberId, topics: decoded?.topics ?? topics, last: lastOf(decoded?.userData) };
  } catch {
    return { memberId, topics, last: null };
  }
}

function lastOf(userData: Buffer | undefined): LastAssignment | null {
  try {
    const last = JSON.parse(String(userData)) as Partial<LastAssignment> | null;
    const { generation, owned } = last ?? {};
    if (!Number.isSafeInteger(generation) || typeof owned !== 'object' || !Object.values(owned).every(Array.isArray)) return null;
    return { generation: Number(generation), owned };
  } catch {
    return null;
  }
}

const generationOf = ({ last }: StickyMember): number => last?.generation ?? -1;

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
