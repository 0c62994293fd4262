import { damageConformance } from './damage.ts';
import { COPY_DAMAGES } from './damage-copy.ts';
import { FOLDER } from './damage-folder.ts';
import { MEMORY } from './damage-memory.ts';
import { TOPIC_DAMAGES } from './damage-topic.ts';
import { memoryTopic, TopicDamageBench } from './damage-topic-bench.ts';

damageConformance(MEMORY);
damageConformance(FOLDER);
damageConformance({
  store: 'topic',
  bench: ({ chunked = false }) => TopicDamageBench.open(memoryTopic(), { copies: false, chunked }),
  damages: TOPIC_DAMAGES,
  impossible: [],
  reopen: (bench) => bench.restarted(),
});
damageConformance({
  store: 'topic, with a warm copy',
  bench: ({ chunked = false }) => TopicDamageBench.open(memoryTopic(), { copies: true, chunked }),
  damages: [...TOPIC_DAMAGES.map((damage) => ({ ...damage, outcome: damage.warm ?? damage.outcome })), ...COPY_DAMAGES],
  impossible: [],
  reopen: (bench) => bench.restarted(),
});
