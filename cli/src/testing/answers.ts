import type { AnyData, PlatformContext, Task } from "@soorma/core";

/** A call as the function that answers for a stub sees it. */
export interface StubCall {
  /** Which call of this stub it is, from 1. */
  readonly number: number;
  /** The task, where the stub does tasks: with `step`, `delegate`, `inputs` and so on. */
  readonly task: Task<AnyData> | undefined;
  readonly context: PlatformContext;
  /** Lets so much virtual time pass. */
  sleep(ms: number): Promise<void>;
}

/** An answer that is more than a value: made by {@link sequence}, {@link failure}, {@link delayed} or {@link never}. */
export class Script<O> {
  /** Only for the compiler: what it answers in the end. */
  declare readonly answers: O;
  readonly play: (data: unknown, call: StubCall) => Promise<unknown>;

  constructor(play: (data: unknown, call: StubCall) => Promise<unknown>) {
    this.play = play;
  }
}

/** Whatever a stub without a contract may answer. Said like this, and not `any`, so that a function's parameters have types. */
export type AnyAnswer = object | string | number | boolean | null | undefined;

/** What a stub answers: always the same value, what a function says, or a script. */
export type Answer<I = AnyData, O = AnyAnswer> =
  | O
  | Script<O>
  | ((data: I, call: StubCall) => O | Script<O> | Promise<O | Script<O>>);

export async function play(answer: unknown, data: unknown, call: StubCall): Promise<unknown> {
  if (answer instanceof Script) return await answer.play(data, call);
  if (typeof answer !== "function") return answer;
  const said: unknown = await answer(data, call);
  return said instanceof Script ? await said.play(data, call) : said;
}

/** One answer after the other; a call after the last one fails, without being tried again. */
export function sequence<O>(...answers: Answer<AnyData, O>[]): Script<O> {
  let next = 0;
  return new Script(async (data, call) => {
    if (next >= answers.length) {
      const { NonRetryableError } = await import("@soorma/core");
      throw new NonRetryableError(`call ${next + 1} of a stub with a sequence of ${answers.length} answers`);
    }
    return await play(answers[next++], data, call);
  });
}

/** Throws: an error as it is, a text as an error that may be tried again. */
export function failure(error: unknown): Script<never> {
  return new Script(async () => {
    throw typeof error === "string" ? new Error(error) : error;
  });
}

/** Answers so many virtual milliseconds later. */
export function delayed<O>(ms: number, answer: Answer<AnyData, O>): Script<O> {
  return new Script(async (data, call) => {
    await call.sleep(ms);
    return await play(answer, data, call);
  });
}

/** Never answers. */
export function never(): Script<never> {
  return new Script((_data, call) => call.sleep(Number.POSITIVE_INFINITY).then(() => new Promise(() => {})));
}
