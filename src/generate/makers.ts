/** What is particular to a topic: whom an event is about, what it says, and how a copy may differ from it. */
import type { Stream } from '../topology/types.ts';
import { impressionText, type Meant, unitEventText } from './meant.ts';
import type { Random } from './random.ts';
import type { TrafficSettings } from './settings.ts';
import { type Keyed, Silence, SURFACES, type World } from './world.ts';

/** Everything of an event but its id and times. */
export type Content = Pick<Meant, 'entity' | 'actor' | 'detail' | 'spendMicros' | 'isValid' | 'allocationVersion'>;

export interface Maker {
  readonly silence: Silence;
  /** A new event at that Kafka time. */
  draw(nowMs: number): Content;
  /** What decides the partition. */
  keyed(content: Content): Keyed;
  text(meant: Meant): string;
  /** Another event of the same who and what. */
  twin(content: Content): Content;
  /** What a faulty producer may send under the same event_id. */
  changed(content: Content): Content;
}

/** Tries to find somebody whose partition is not silent; then somebody whose is. */
const TRIES = 1000;

export const makerOf = (stream: Stream, settings: TrafficSettings, world: World, random: Random): Maker =>
  stream === 'impressions' ? impressions(settings, world, random) : unitEvents(stream, settings, world, random);

const impressions = (settings: TrafficSettings, world: World, random: Random): Maker => {
  const silence = new Silence(settings, world.campaigns[0].partition);
  const amount = () => Math.min(Math.round(800 * Math.exp(Math.sqrt(random.exponential(2)))), 5_000_000);
  const campaign = (nowMs: number): number => {
    for (let tries = 0; tries < TRIES; tries++) {
      const drawn = world.campaignAt(random.fraction());
      if (!silence.covers(world.campaigns[drawn].partition, nowMs)) return drawn;
    }
    return 0;
  };
  return {
    silence,
    draw: (nowMs) => ({
      entity: campaign(nowMs),
      actor: random.chance(0.92) ? random.whole(0, settings.users) : -1,
      detail: random.chance(0.95) ? random.whole(0, SURFACES.length) : -1,
      spendMicros: amount(),
      isValid: !random.chance(settings.invalidTrafficShare),
      allocationVersion: 1,
    }),
    keyed: (content) => world.campaigns[content.entity],
    text: (meant) => impressionText(world, settings.advertisers, meant),
    twin: (content) => ({ ...content, spendMicros: amount() }),
    changed: (content) => ({ ...content, spendMicros: content.spendMicros + random.whole(1, 100_000) }),
  };
};

const unitEvents = (stream: Stream, settings: TrafficSettings, world: World, random: Random): Maker => {
  const silence = new Silence(settings, -1);
  const secondVersionFromMs = settings.baseMs + settings.spanMs / 2;
  const anyVariant = () => random.whole(0, settings.variants);
  const unit = (nowMs: number): number => {
    let drawn = 0;
    for (let tries = 0; tries < TRIES; tries++) {
      // A few units are met far more often than most.
      drawn = random.chance(0.1) ? random.whole(0, Math.ceil(settings.units / 50)) : random.whole(0, settings.units);
      if (!silence.covers(world.unit(drawn).partition, nowMs)) break;
    }
    return drawn;
  };
  return {
    silence,
    draw: (nowMs) => {
      const actor = unit(nowMs);
      const entity = random.whole(0, settings.experiments);
      // An assignment never contradicts the split; a contaminated unit is shown what it should not see.
      const isStray = stream === 'exposures' && world.isContaminated(entity, actor) && random.chance(0.5);
      return {
        entity,
        actor,
        detail: isStray ? anyVariant() : world.homeVariant(entity, actor),
        spendMicros: 0,
        isValid: true,
        allocationVersion: nowMs < secondVersionFromMs ? 1 : 2,
      };
    },
    keyed: (content) => world.unit(content.actor),
    text: (meant) => unitEventText(world, stream === 'exposures', meant),
    twin: (content) => content,
    changed: (content) => ({ ...content, detail: anyVariant() }),
  };
};
