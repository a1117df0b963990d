interface Waiter {
  readonly resolve: () => void;
}

/** Places for handlers that run at the same time. Who had one before gets the next free one before anybody new. */
export class Slots {
  readonly #limit: number;
  readonly #onRoom: () => void;
  #taken = 0;
  readonly #waiting = new Set<Waiter>();

  /** `onRoom` is called when there is a place for somebody new. */
  constructor(limit: number, onRoom: () => void) {
    this.#limit = limit;
    this.#onRoom = onRoom;
  }

  /** Takes a place for somebody new, if there is one and nobody is to get it back first. */
  take(): boolean {
    if (this.#taken >= this.#limit) return false;
    this.#taken++;
    return true;
  }

  /** Resolves with a place. @throws the signal's reason, without one. */
  takeBack(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.take()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiting.delete(waiter);
        reject(signal.reason);
      };
      const waiter: Waiter = {
        resolve: () => {
          signal.removeEventListener("abort", onAbort);
          resolve();
        },
      };
      signal.addEventListener("abort", onAbort, { once: true });
      this.#waiting.add(waiter);
    });
  }

  /** Gives a place back. */
  release(): void {
    const [first] = this.#waiting;
    if (first) {
      this.#waiting.delete(first);
      first.resolve();
      return;
    }
    this.#taken--;
    this.#onRoom();
  }
}
