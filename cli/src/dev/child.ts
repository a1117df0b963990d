// Preloaded into every process that `soorma dev` starts: none of them outlives its supervisor. In one that stands by it
// also holds back the agent's file, which bun reads when this is through.

const drainMs = Number(process.env.SOORMA_DRAIN_MS ?? 10_000);
const channel = (process as { channel?: { ref?(): void; unref?(): void } }).channel;

process.on("disconnect", () => {
  // The supervisor is gone without a word. An agent that handles SIGTERM may finish what it is doing.
  setTimeout(() => process.exit(1), drainMs).unref();
  process.kill(process.pid, "SIGTERM");
});

// This process has its debugger; one that the agent starts must not want the same port.
delete process.env.BUN_INSPECT;

const ahead = process.env.SOORMA_STANDBY;
if (ahead !== undefined) {
  const word = Promise.withResolvers<void>();
  const listen = (message: unknown): void => {
    if ((message as { soorma?: unknown } | undefined)?.soorma === "go") word.resolve();
  };
  process.on("message", listen);
  // What cannot be loaded now is told when the agent itself asks for it.
  if (ahead !== "") await import(ahead).catch(() => {});
  delete process.env.SOORMA_STANDBY;
  await word.promise;
  process.off("message", listen);
}

// Listening alone must not keep an agent alive that has nothing left to do.
channel?.unref?.();

export {};
