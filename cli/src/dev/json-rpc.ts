/** Requests to a process that speaks JSON-RPC with headers, as language servers do. */
export interface JsonRpc {
  /** Resolves with the result. @throws {Error} What the other side says, or why there is nobody any more. */
  request(method: string, params: unknown): Promise<unknown>;
  /** Nothing is answered any more: to be called when the process has ended, too. */
  close(why: Error): void;
}

const headEnd = Buffer.from("\r\n\r\n");

export function connectJsonRpc(input: Bun.FileSink, output: ReadableStream<Uint8Array>): JsonRpc {
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  let closed: Error | undefined;
  let lastId = 0;

  const close = (why: Error): void => {
    closed ??= why;
    for (const { reject } of waiting.values()) reject(closed);
    waiting.clear();
  };

  const receive = (text: string): void => {
    const { id, result, error } = JSON.parse(text) as {
      id?: number;
      result?: unknown;
      error?: { message?: string };
    };
    const answer = id === undefined ? undefined : waiting.get(id);
    // What is no answer is of no interest.
    if (id === undefined || !answer) return;
    waiting.delete(id);
    if (error) answer.reject(new Error(error.message ?? "it failed without a word"));
    else answer.resolve(result ?? null);
  };

  void (async () => {
    let rest = Buffer.alloc(0);
    for await (const chunk of output) {
      rest = Buffer.concat([rest, chunk]);
      for (;;) {
        const head = rest.indexOf(headEnd);
        if (head < 0) break;
        const length = Number(/content-length: *(\d+)/i.exec(rest.toString("latin1", 0, head))?.[1]);
        if (!Number.isInteger(length)) throw new Error("a message came without its length");
        const start = head + headEnd.length;
        if (rest.length < start + length) break;
        receive(rest.toString("utf8", start, start + length));
        rest = rest.subarray(start + length);
      }
    }
  })().catch(close);

  return {
    async request(method, params) {
      if (closed) throw closed;
      const id = ++lastId;
      const answer = Promise.withResolvers<unknown>();
      waiting.set(id, answer);
      // It may be closed while this is being written.
      answer.promise.catch(() => {});
      const text = JSON.stringify({ jsonrpc: "2.0", id, method, params });
      try {
        await input.write(`Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`);
        await input.flush();
      } catch {
        // Nobody reads it: why is known when the process has ended, and told by `close`.
      }
      return await answer.promise;
    },
    close,
  };
}
