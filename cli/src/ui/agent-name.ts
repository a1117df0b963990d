/** An agent's name and ten random characters are its id. Undefined for what is no such id. */
export function agentNameOf(agentId: string): string | undefined {
  return /^(.+)-[0-9a-z]{10}$/.exec(agentId)?.[1];
}
