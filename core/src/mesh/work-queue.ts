/**
 * Runs jobs in the order they came, `concurrency` at a time.
 *
 * `add` tells when there are so many waiting that the source should pause.
 */
export class WorkQueue {
  readonly #waiting: (() => Promise<void>)[] = [];
  readonly #concurrency: number;
  readonly #highWater: number;
  #head = 0;
  #running = 0;
  /** What jobs that run added and did not fit; they wait for room. */
  #held = 0;
  #within: { promise: Promise<void>; resolve: () => void } | undefined;
  #room: { promise: Promise<void>; resolve: () => void } | undefined;
  #idle: { promise: Promise<void>; resolve: () => void } | undefined;

  constructor(concurrency: number, highWater = 1024) {
    this.#concurrency = concurrency;
    this.#highWater = highWater;
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#waiting.length - this.#head;
  }

  get full(): boolean {
    return this.waiting >= this.#highWater;
  }

  /**
   * Takes a job, which must not reject. Returns a promise while the queue is full: it resolves when half is done.
   *
   * @param isWithin - A job of this queue adds it, and may wait for the room. When all that run do, nothing would make any.
   */
  add(job: () => Promise<void>, isWithin = false): void | Promise<void> {
    if (this.#running < this.#concurrency) {
      this.#run(job);
      return undefined;
    }
    this.#waiting.push(job);
    if (!this.full) return undefined;
    if (!isWithin) {
      this.#room ??= Promise.withResolvers<void>();
      return this.#room.promise;
    }
    this.#within ??= Promise.withResolvers<void>();
    const { promise } = this.#within;
    if (++this.#held >= this.#running) this.#letGoOn();
    return promise;
  }

  /** Resolves when nothing runs or waits. */
  idle(): Promise<void> {
    if (this.#running === 0) return Promise.resolve();
    this.#idle ??= Promise.withResolvers<void>();
    return this.#idle.promise;
  }

  /** Forgets what has not begun. */
  clear(): void {
    this.#waiting.length = 0;
    this.#head = 0;
    this.#makeRoom();
  }

  #makeRoom(): void {
    this.#room?.resolve();
    this.#room = undefined;
    this.#letGoOn();
  }

  #letGoOn(): void {
    this.#held = 0;
    this.#within?.resolve();
    this.#within = undefined;
  }

  #run(job: () => Promise<void>): void {
    this.#running++;
    void job().finally(() => {
      this.#running--;
      this.#next();
    });
  }

  #next(): void {
    const job = this.#waiting[this.#head];
    if (job) {
      this.#head++;
      // Shifting an array of thousands for each job would cost more than the job.
      if (this.#head > 1024 && this.#head * 2 > this.#waiting.length) {
        this.#waiting.splice(0, this.#head);
        this.#head = 0;
      }
      this.#run(job);
    } else if (this.#head > 0) {
      this.#waiting.length = 0;
      this.#head = 0;
    }
    if (this.waiting <= this.#highWater / 2) this.#makeRoom();
    if (this.#running === 0) {
      this.#idle?.resolve();
      this.#idle = undefined;
    }
  }
}
