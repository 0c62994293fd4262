import { afterEach, expect, it } from 'vitest';
import { readAll } from '../e2e/side-outputs.ts';
import { describeIntegration } from '../services/integration.ts';
import { logLines, Story } from './story.ts';

describeIntegration('run with its state in Kafka', (services) => {
  let story: Story;
  afterEach(() => story?.end());

  it('goes on at the last commit on another machine when the first is killed, and counts no record twice', async () => {
    story = await Story.begin(services, 27);
    const inTopic = { STATE_STORE: 'kafka' };
    const [first, second] = [story.bed.worker('first', inTopic).start(), story.bed.worker('second', inTopic)];
    await story.send(0, 0.5);
    await first.ready();
    await story.allJudged(story.share(0.5), first);
    second.start();
    await second.ready();
    await first.kill();
    await story.send(0.5, 0.8);
    await story.allJudged(story.share(0.8), second);
    first.start();
    await first.ready();
    expect(await second.terminate()).toBe(0);
    await story.send(0.8, 1);
    await story.counted(first);
    expect([...story.looks.faults]).toEqual([]);
    const restored = logLines(second.log).filter(({ msg, stage, topic }) => {
      return msg === 'state restored' && stage === 'ingest' && topic === story.bed.topic('impressions');
    });
    expect(restored.map(({ position }) => position! > 0)).toEqual(restored.map(() => true));
    expect(restored.length).toBeGreaterThanOrEqual(2);
    expect(await first.terminate()).toBe(0);
    let copies = 0;
    await readAll(story.bed, [story.bed.output('unique')], () => copies++);
    const accepted = [...story.expected.records].reduce((all, [name, count]) => all + (name.endsWith('/accepted') ? count : 0), 0);
    expect(copies).toBe(accepted);
  });
});
