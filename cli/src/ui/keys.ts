/** Keys with a name of their own; every other one is what it types. */
export type Key = "ctrl-c" | "escape" | "enter" | "up" | "down" | (string & {});

const named: Readonly<Record<string, Key>> = {
  "\x03": "ctrl-c",
  "\x1b": "escape",
  "\r": "enter",
  "\n": "enter",
  "\x1b[A": "up",
  "\x1bOA": "up",
  "\x1b[B": "down",
  "\x1bOB": "down",
};

/** Calls `onKey` with each key that is pressed, until disposed. Nothing is echoed meanwhile, and Ctrl-C is a key. */
export function readKeys(onKey: (key: Key) => void, stdin: NodeJS.ReadStream = process.stdin): Disposable {
  const onData = (chunk: Buffer | string): void => {
    for (const key of keysOf(String(chunk))) onKey(key);
  };
  stdin.setRawMode(true);
  stdin.on("data", onData);
  stdin.resume();
  return {
    [Symbol.dispose]() {
      stdin.off("data", onData);
      stdin.setRawMode(false);
      stdin.pause();
    },
  };
}

/** What is typed fast comes in one piece. */
export function keysOf(text: string): Key[] {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: keys are made of them.
  const parts = text.match(/\x1b[[O][0-9;]*[A-Za-z~]|[\s\S]/gu) ?? [];
  return parts.map((part) => named[part] ?? part);
}
