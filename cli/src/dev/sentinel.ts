/** Kills what is left of the supervised processes when the supervisor itself was killed. */
export interface Sentinel {
  /** Watches over a process group, by its leader's number. */
  add(group: number): void;
  remove(group: number): void;
  /** Ends the sentinel; groups not removed are killed after the grace time. */
  close(): void;
}

/**
 * A shell that waits for the end of its input, which is the end of the supervisor however it ends. Children notice
 * that by themselves, too, unless a handler keeps their CPU busy: this one does not need their help.
 */
const script = `
groups=
while read -r op group; do
  rest=
  for g in $groups; do [ "$g" = "$group" ] || rest="$rest $g"; done
  groups=$rest
  [ "$op" = "+" ] && groups="$groups $group"
done
left=$1
while [ -n "$groups" ] && [ "$left" -gt 0 ]; do
  sleep 1
  left=$((left - 1))
  rest=
  for g in $groups; do kill -0 -"$g" 2>/dev/null && rest="$rest $g"; done
  groups=$rest
done
for g in $groups; do kill -9 -"$g" 2>/dev/null; done
`;

export function startSentinel(graceMs: number): Sentinel {
  const seconds = Math.max(1, Math.ceil(graceMs / 1000));
  const child = Bun.spawn(["/bin/sh", "-c", script, "soorma-sentinel", String(seconds)], {
    stdin: "pipe",
    stdout: "ignore",
    stderr: "ignore",
    // A session of its own: Ctrl-C in the terminal is not for it.
    detached: true,
  });
  child.unref();
  const tell = (line: string): void => {
    child.stdin.write(line);
    void child.stdin.flush();
  };
  return {
    add: (group) => tell(`+ ${group}\n`),
    remove: (group) => tell(`- ${group}\n`),
    close: () => void child.stdin.end(),
  };
}
