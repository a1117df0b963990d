// Preloaded into every process that `soorma dev` starts: none of them outlives its supervisor.

const drainMs = Number(process.env.SOORMA_DRAIN_MS ?? 10_000);

process.on("disconnect", () => {
  // The supervisor is gone without a word. An agent that handles SIGTERM may finish what it is doing.
  setTimeout(() => process.exit(1), drainMs).unref();
  process.kill(process.pid, "SIGTERM");
});

// Listening alone must not keep an agent alive that has nothing left to do.
(process as { channel?: { unref?(): void } }).channel?.unref?.();
