/**
 * The life of a task, as a table; a step that is not in it throws.
 *
 *   idle ─► claiming ─► restoring ─► running ─► idle        (the partition went elsewhere, or a clean stop)
 *              ▲  │         │           │
 *              │  └─────────┴───────────┴─► backing_off ─► claiming
 *              │                        └─► stopped          (a named stop: the others go on)
 *              └─ idle
 */
export type TaskState = 'idle' | 'claiming' | 'restoring' | 'running' | 'backing_off' | 'stopped';

const TRANSITIONS: Readonly<Record<TaskState, readonly TaskState[]>> = {
  idle: ['claiming'],
  claiming: ['restoring', 'running', 'backing_off', 'stopped', 'idle'],
  restoring: ['running', 'backing_off', 'stopped', 'idle'],
  running: ['idle', 'backing_off', 'stopped'],
  backing_off: ['claiming', 'idle'],
  stopped: [],
};

export class Lifecycle {
  #state: TaskState = 'idle';

  get state(): TaskState {
    return this.#state;
  }

  to(next: TaskState): void {
    if (!TRANSITIONS[this.#state].includes(next)) throw new Error(`a task cannot go from ${this.#state} to ${next}`);
    this.#state = next;
  }
}
