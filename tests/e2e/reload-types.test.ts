import { expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { silentLogger } from "@soorma/core";
import { Client, connectMesh } from "soorma";
import { isAlive, startSoorma, tempFolder, until } from "./cli-run.ts";
import { makeTypedProject } from "./dev-project.ts";

interface Answer {
  readonly version: number;
  readonly right: boolean;
}

/** Wrong code says so itself, which its types do not allow. */
const source = (version: number, right: boolean): string => `import { Tool } from "soorma";
import { step } from "../step.ts";
const right: true = ${right};
const tool = new Tool({ name: "answers" });
tool.onInvoke("version", () => ({ version: ${version} * step, right: right && typeof step === "number" }));
await tool.run();
`;

test("code with a type error never answers a task, and TypeScript's server ends with dev, even when that is killed", async () => {
  using folder = tempFolder();
  const project = join(folder.path, "typed");
  const agent = join(project, "src/agents/answers.ts");
  const shared = join(project, "src/step.ts");
  makeTypedProject(project);
  writeFileSync(shared, "export const step: number = 1;\n");
  writeFileSync(agent, source(1, true));

  const dev = startSoorma(["dev"], { cwd: project });
  void dev.stdout.text();
  let output = "";
  void (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of dev.stderr) output += decoder.decode(chunk, { stream: true });
  })();
  const runFile = (): { supervisor: { pid: number }; typeServer?: { pid: number } } =>
    JSON.parse(readFileSync(join(project, ".soorma/run/supervisor.json"), "utf8"));
  const refused = (): number => output.split("the old one keeps running").length - 1;
  try {
    await until("the mesh", () => output.includes("agent.ready"));
    await using client = await Client.connect({
      name: "asking",
      mesh: connectMesh({ meshFile: join(project, ".soorma/run/mesh.json"), log: silentLogger }),
    });
    const answers: Answer[] = [];
    let isAsking = true;
    const asking = (async () => {
      for (; isAsking; await Bun.sleep(1))
        answers.push((await client.bus.request("version", {}, { timeoutMs: 20_000 })) as Answer);
    })();
    const answered = (version: number): Promise<unknown> =>
      until(`version ${version}`, () => answers.at(-1)?.version === version);
    await answered(1);

    writeFileSync(agent, source(2, false));
    await until("the type error", () => refused() === 1);
    expect(output).toContain("TS2322");
    writeFileSync(agent, source(3, true));
    await answered(3);

    // The fault is in a file that was not saved.
    writeFileSync(shared, 'export const step: string = "2";\n');
    await until("the importer's type error", () => refused() === 2);
    expect(output).toContain("answers.ts:5");
    writeFileSync(shared, "export const step: number = 2;\n");
    await answered(6);

    // Saved again before the one before is through.
    for (const version of [7, 8]) {
      writeFileSync(agent, source(version, true));
      await Bun.sleep(30 * (version - 6));
      writeFileSync(agent, source(version, false));
      await until("the type error", () => refused() === version - 4);
    }
    writeFileSync(agent, source(10, true));
    await answered(20);

    isAsking = false;
    await asking;
    expect(answers.filter(({ right }) => !right)).toEqual([]);
    expect([...new Set(answers.map(({ version }) => version))].filter((version) => version < 7)).toEqual([1, 3, 6]);
    const server = await until("TypeScript's server", () => runFile().typeServer?.pid);
    dev.kill("SIGKILL");
    await until("the end of TypeScript's server", () => !isAlive(server));
  } finally {
    dev.kill("SIGKILL");
    await dev.exited;
  }
}, 120_000);
